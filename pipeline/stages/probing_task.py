"""Stage `probing_task`: labelled texts as activations, splits, dense baselines, into data/probing_task."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.console.errors import BadInput
from pipeline.console.progress import Progress
from pipeline.lm.core.load import LanguageModel, load_lm
from pipeline.lm.core.site import Site, chosen_site
from pipeline.params import read_params
from pipeline.params.compute import ComputeSection
from pipeline.params.experiment import input_path
from pipeline.stages.common.files import LM, PROBING, fresh
from pipeline.tasks.common.batches import batched
from pipeline.tasks.probing.dense import dense_logits
from pipeline.tasks.probing.problems import SPLITS, Padded, Problem, make_problems, right
from pipeline.tasks.probing.section import ProbingTaskSection
from pipeline.tasks.probing.task import ProbingTask, save_probing, text_means
from pipeline.text.labelled import LabelledSet, labelled_sets
from pipeline.text.section import parse_text


def run() -> None:
    """Write the task."""
    params = read_params()
    section = params.get("probing_task", ProbingTaskSection)
    text = parse_text(params.value("profile.text"), f"profiles.{params.profile}.text")
    compute = params.get("profile.compute", ComputeSection)
    device = compute.apply()
    site = chosen_site(params)
    labelled = labelled_sets(text, input_path(params, "labels"), section.per_class, section.seed)
    if not labelled:
        raise BadInput(
            "there are no labelled sets for sparse probing: name a CSV file (columns text, label) under "
            "`inputs.labels`, or hub datasets under `text.labelled`."
        )
    problems = problems_of(labelled, section)
    lm = load_lm(LM, device, compute.lm_precision)
    lm.require(site)
    texts = [each for labels in labelled for each in labels.texts]
    limit = min(section.max_tokens, text.context_length)
    x, ids, offsets = activations(lm, site, tokenize(lm, texts, limit))
    facts = {
        "model": lm.model_id, "layer": site.layer, "seed": section.seed, "max_tokens": limit,
        "sets": {each.name: len(each.texts) for each in labelled}, "tokens": len(x),
    }  # fmt: skip
    mean = text_means(x, offsets)
    train, validation, test = (Padded.of(problems, split) for split in SPLITS)
    answers = right(dense_logits(mean, train, validation, test), test)
    dense = [row[real].tolist() for row, real in zip(answers, test.real, strict=True)]
    save_probing(fresh(PROBING), ProbingTask(x, ids, offsets, mean, problems, dense, facts))


def problems_of(labelled: list[LabelledSet], section: ProbingTaskSection) -> list[Problem]:
    """Every set's problems; texts are numbered through all sets."""
    problems: list[Problem] = []
    first = 0
    for each in labelled:
        problems += make_problems(each.name, each.labels, first, section)
        first += len(each.texts)
    return problems


def tokenize(lm: LanguageModel, texts: list[str], limit: int) -> list[list[int]]:
    """BOS and the text's tokens, cut to `limit`; raises BadInput for a text without tokens."""
    found: list[list[int]] = lm.tokenizer(texts, add_special_tokens=False)["input_ids"]
    special = set(lm.special_ids)
    for text, ids in zip(texts, found, strict=True):
        if not set(ids[: limit - 1]) - special:
            raise BadInput(f"the labelled text {text[:40]!r} has no tokens: leave it out of its set.")
    return [[lm.bos_id, *ids[: limit - 1]] for ids in found]


def activations(lm: LanguageModel, site: Site, texts: list[list[int]]) -> tuple[Tensor, Tensor, Tensor]:
    """By text, without special tokens: activations at `site` (N, d) float32, ids (N,), offsets (X + 1,)."""
    rows: list[Tensor] = [torch.empty(0)] * len(texts)
    kinds: list[Tensor] = [torch.empty(0)] * len(texts)
    special = torch.tensor(lm.special_ids)
    # texts of like length go together, so that little is padded
    order = sorted(range(len(texts)), key=lambda i: (len(texts[i]), i))
    with Progress("labelled texts", total=len(texts), unit="texts") as bar:
        for part in batched(len(order), max(map(len, texts))):
            batch = order[part]
            ids, mask = pad([texts[i] for i in batch], lm.bos_id)
            residual = lm.forward_to(ids, site, mask).cpu()
            kept = mask & ~torch.isin(ids, special)
            for row, i in enumerate(batch):
                rows[i], kinds[i] = residual[row][kept[row]], ids[row][kept[row]]
            bar.advance(len(batch))
    lengths = torch.tensor([0, *(len(each) for each in rows)])
    return torch.cat(rows), torch.cat(kinds), lengths.cumsum(0)


def pad(texts: list[list[int]], filler: int) -> tuple[Tensor, Tensor]:
    """(B, T) ids, filled up on the right, and their mask (B, T) bool."""
    length = max(map(len, texts))
    ids = torch.tensor([each + [filler] * (length - len(each)) for each in texts])
    mask = torch.arange(length) < torch.tensor([len(each) for each in texts])[:, None]
    return ids, mask

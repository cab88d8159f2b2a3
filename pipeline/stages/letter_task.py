"""Stage `letter_task`: words, prompts, activations and letter probes, into data/letter_task."""

from __future__ import annotations

from random import Random

import torch
from torch import Tensor

from pipeline.console.progress import Progress
from pipeline.lm.core.load import LanguageModel, load_lm
from pipeline.lm.core.site import Site, chosen_site
from pipeline.params import read_params
from pipeline.params.compute import ComputeSection
from pipeline.stages.common.files import LETTERS, LM, fresh
from pipeline.tasks.common.batches import batched
from pipeline.tasks.letters.ablation import AblationTask, CutModel, save_ablation
from pipeline.tasks.letters.ablation import build as build_ablation
from pipeline.tasks.letters.saebench_probe import fit, save_probe
from pipeline.tasks.letters.section import LetterTaskSection
from pipeline.tasks.letters.task import LetterTask, save_letters, save_unusable
from pipeline.tasks.letters.words import (
    Prompter,
    Word,
    choose_examples,
    fit_probes,
    fold_pools,
    folds,
    limited,
    out_of_fold,
    unusable,
    vocabulary,
)


def run() -> None:
    """Write the task, or the reason why this model's vocabulary has none."""
    params = read_params()
    section = params.get("letter_task", LetterTaskSection)
    compute = params.get("profile.compute", ComputeSection)
    device = compute.apply()
    site = chosen_site(params)
    lm = load_lm(LM, device, compute.lm_precision)
    lm.require(site)
    found = vocabulary(lm.tokenizer, lm.special_ids)
    prompter = Prompter.of(lm.tokenizer, lm.bos_id)
    readable = prompter.readable(found)
    words = limited(readable, section.max_words, section.seed)
    facts = {
        "model": lm.model_id, "layer": site.layer, "seed": section.seed, "in_context": section.in_context,
        "words_in_vocabulary": len(found), "words_dropped_not_one_token": len(found) - len(readable),
        "words_dropped_by_max_words": len(readable) - len(words), "line": "{word}" + prompter.form.ask + " X",
    }  # fmt: skip
    reason = unusable(words, section.in_context)
    task = None if reason else build(lm, site, prompter, words, section, facts)
    ablation: AblationTask | str = str(reason)
    if task is not None:
        ablation = build_ablation(prompter, words, task, CutModel.of(lm, site), section)
    folder = fresh(LETTERS)
    if task is None:
        save_unusable(folder, str(reason), facts)
    else:
        save_letters(folder, task)
        save_probe(folder, fit(task.x, task.letter, task.fold != 0, section.seed))
    save_ablation(folder, ablation, lm.weights_sha256)


def build(
    lm: LanguageModel, site: Site, prompter: Prompter, words: list[Word], section: LetterTaskSection,
    facts: dict[str, object],
) -> LetterTask:  # fmt: skip
    """The task of `words`: two prompts per scored word, one for the probes and one to be scored on."""
    fold = folds(words, section.seed)
    letter, of_fold = torch.tensor([word.letter for word in words]), torch.tensor(fold)
    everything = list(range(len(words)))
    rng = Random(f"examples {section.seed}")
    with Progress("letters", total=2 * len(words), unit="prompts") as bar:
        chosen = choose_examples(words, everything, fold_pools(fold), section.in_context, rng)
        x = residuals(lm, site, prompter, words, everything, chosen, bar)
        weight, bias = fit_probes(x, letter, of_fold)
        own = out_of_fold(x, of_fold, weight, bias).gather(1, letter[:, None])[:, 0]
        scored = torch.nonzero(own > 0).flatten()
        subset = scored.tolist()
        chosen = choose_examples(words, subset, [everything] * len(subset), section.in_context, rng)
        x_scored = residuals(lm, site, prompter, words, subset, chosen, bar)
    texts = [word.text for word in words]
    return LetterTask(texts, x, letter, of_fold, scored, x_scored, weight, bias, dict(facts))


def residuals(
    lm: LanguageModel, site: Site, prompter: Prompter, words: list[Word], which: list[int],
    examples: list[list[int]], bar: Progress,
) -> Tensor:  # fmt: skip
    """(len(which), d) float32 on the CPU: the activations at each word's token."""
    prompts = [
        prompter.ids(words[i], [words[j] for j in chosen]) for i, chosen in zip(which, examples, strict=True)
    ]
    out = torch.zeros(len(prompts), lm.d)
    # equal lengths go together: no padding, so every tokenizer and attention mask gives the same numbers
    by_length: dict[int, list[int]] = {}
    for row, ids in enumerate(prompts):
        assert prompter.finds(words[which[row]], ids)
        by_length.setdefault(len(ids), []).append(row)
    for length, rows in sorted(by_length.items()):
        for part in batched(len(rows), length):
            batch = rows[part]
            tokens = torch.tensor([prompts[row] for row in batch])
            out[batch] = lm.forward_to(tokens, site)[:, -prompter.offset].cpu()
            bar.advance(len(batch))
    return out

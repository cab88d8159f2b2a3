"""SAEBench's sparse-probing numbers, flaws kept, so that published values can be laid beside ours.

Source: sae-bench 0.6.0, `evals/sparse_probing` (probe_training.py). Two things differ from
the plain metrics of results.py: negatives are drawn again for every k and every probe, and the
probe on all features keeps the epoch that is best on the *test* texts. Seeded here, unlike there. The same
probe with fixed negatives and the epoch best on validation texts is `probing_all`.
"""

from __future__ import annotations

from math import ceil
from random import Random

import torch
from torch import Tensor

from pipeline.metrics.probing.measure import sparse_logits, top_features
from pipeline.metrics.probing.results import over_sets
from pipeline.metrics.probing.section import ProbingSection
from pipeline.numbers.definition import Definition
from pipeline.numbers.number import Number
from pipeline.tasks.probing.problems import Padded, Problem, accuracy
from pipeline.tasks.probing.task import ProbingTask

EPOCHS, PATIENCE, BATCH, RATE = 100, 10, 250, 1e-2
"""Of the probe on all features, AdamW with torch's defaults otherwise."""

_MEAN = "mean over a set's classes, then over sets"
_REDRAWN = "SAEBench 0.6.0: accuracy of {k}-sparse probes on {what}, negatives drawn again for this k; {mean}"
_BEST = "SAEBench 0.6.0: accuracy of a linear probe on {what} in the epoch best on the test texts; {mean}"


def metrics(section: ProbingSection) -> list[Definition]:
    """The definitions, under SAEBench's field names."""
    found = [
        Definition(
            "probing_all", "higher", "accuracy", 1,
            "test accuracy of a linear probe on all mean codes, splits and negatives fixed, in the epoch "
            f"best on validation texts; {_MEAN}", False,
        )
    ]  # fmt: skip
    for who, what in (("sae", "all mean codes"), ("llm", "the mean residual")):
        better = "higher" if who == "sae" else "neither"
        named = {f"{who}_test_accuracy": _BEST.format(what=what, mean=_MEAN)} | {
            f"{who}_top_{k}_test_accuracy": _REDRAWN.format(k=k, what=what, mean=_MEAN) for k in section.k
        }
        found += [Definition(name, better, "accuracy", 1, text, False) for name, text in named.items()]  # type: ignore[arg-type]
    return found


def values(who: str, features: Tensor, task: ProbingTask, section: ProbingSection) -> dict[str, Number]:
    """SAEBench's values of one feature matrix (X, n); `who` is `sae` or `llm`."""
    found, texts = {}, _texts(task)
    for k in section.k:
        problems = redrawn(task.problems, Random(f"negatives {who} {k} {section.seed}"))
        train, test = Padded.of(problems, "train"), Padded.of(problems, "test")
        top = top_features(features, train, min(k, features.shape[1]))
        score = accuracy(sparse_logits(features, top, train, test), test)
        found[f"{who}_top_{k}_test_accuracy"] = Number(over_sets(score, task), texts)
    problems = redrawn(task.problems, Random(f"negatives {who} all {section.seed}"))
    score = set_by_set(features, problems, "test", section.seed)
    return {f"{who}_test_accuracy": Number(over_sets(score, task), texts)} | found


def probing_all(features: Tensor, task: ProbingTask, section: ProbingSection) -> dict[str, Number]:
    """The right value beside `sae_test_accuracy`."""
    score = set_by_set(features, task.problems, "validation", section.seed)
    return {"probing_all": Number(over_sets(score, task), _texts(task))}


def redrawn(problems: list[Problem], rng: Random) -> list[Problem]:
    """The same problems with other negatives: ceil(P / (C - 1)) of each other class, cut to P, per split.

    A set of two classes is one problem, which holds every text of both; its other class is its negatives.
    """
    out = []
    for problem in problems:
        items, truth = {}, {}
        for split in problem.items:
            own = _of_class(problem, split, True)
            others = [
                _of_class(other, split, True)
                for other in problems
                if other.labelled == problem.labelled and other.positive != problem.positive
            ] or [_of_class(problem, split, False)]
            share = ceil(len(own) / len(others))
            rest = [text for other in others for text in rng.sample(other, min(share, len(other)))]
            rest = sorted(rng.sample(rest, min(len(own), len(rest))))
            items[split], truth[split] = own + rest, [True] * len(own) + [False] * len(rest)
        out.append(Problem(problem.labelled, problem.positive, items, truth))
    return out


def set_by_set(features: Tensor, problems: list[Problem], watched: str, seed: int) -> Tensor:
    """(P,) float64: `best_epoch` on the split `watched`, each set on its own texts of (X, n).

    A set's probes read no other set's texts, so their logits are not computed: 6 sets take a sixth.
    """
    score = torch.zeros(len(problems), dtype=torch.float64)
    for name in dict.fromkeys(problem.labelled for problem in problems):
        rows = [row for row, problem in enumerate(problems) if problem.labelled == name]
        own = [problems[row] for row in rows]
        train, seen, test = (Padded.of(own, split) for split in ("train", watched, "test"))
        score[rows] = best_epoch(features, train, seen, test, seed)
    return score


def best_epoch(features: Tensor, train: Padded, watched: Padded, test: Padded, seed: int) -> Tensor:
    """(P,) float64: accuracy on `test` in the epoch best on `watched`, of P linear probes over (X, n).

    A problem stops after `PATIENCE` epochs without a new best. All probes train side by side; what no
    probe learns from is encoded once an epoch, after it.
    """
    x, (learnt,) = _own(features, train)
    held, (seen, asked) = _own(features, watched, test)
    generator = torch.Generator().manual_seed(seed)
    count, n = len(train.text), features.shape[1]
    bound = n**-0.5  # torch's initial Linear layer
    w = ((2 * torch.rand(count, n, generator=generator) - 1) * bound).requires_grad_()
    b = ((2 * torch.rand(count, 1, generator=generator) - 1) * bound).requires_grad_()
    adam = _AdamW([w, b])
    best, kept = (torch.zeros(count, dtype=torch.float64) for _ in range(2))
    waited = torch.zeros(count, dtype=torch.int64)
    for _ in range(EPOCHS):
        order = torch.where(train.real, torch.rand(train.real.shape, generator=generator), 2.0).argsort(-1)
        for batch in order.split(BATCH, -1):
            real = train.real.gather(1, batch)
            logits = (w @ x.T + b).gather(1, learnt.gather(1, batch))
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                logits, train.truth.gather(1, batch).float(), reduction="none"
            )
            # the mean per problem: problems do not touch each other's weights
            ((loss * real).sum(-1) / real.sum(-1).clamp_min(1)).sum().backward()
            adam.step()
        with torch.no_grad():
            logits = w @ held.T + b
            reached = accuracy(logits.gather(1, seen), watched)
            tested = accuracy(logits.gather(1, asked), test)
        better = (reached > best) & (waited < PATIENCE)
        best, kept = torch.where(better, reached, best), torch.where(better, tested, kept)
        waited = torch.where(better, 0, (waited + 1).clamp_max(PATIENCE))
        if bool((waited >= PATIENCE).all()):
            break
    return kept


class _AdamW:
    """torch's AdamW with its defaults; a torch.optim.Optimizer imports torch._dynamo, 1.4 s of a process."""

    def __init__(self, weights: list[Tensor]) -> None:
        self._weights = weights
        self._first, self._second = ([torch.zeros_like(each) for each in weights] for _ in range(2))
        self._steps = [torch.zeros(()) for _ in weights]

    @torch.no_grad()
    def step(self) -> None:
        """Move every weight and take its gradient away."""
        torch._foreach_add_(self._steps, 1)
        torch._fused_adamw_(
            self._weights, [each.grad for each in self._weights if each.grad is not None],
            self._first, self._second, [], self._steps,
            lr=RATE, beta1=0.9, beta2=0.999, weight_decay=0.01, eps=1e-8, amsgrad=False, maximize=False,
            grad_scale=None, found_inf=None,
        )  # fmt: skip
        for each in self._weights:
            each.grad = None


def _own(features: Tensor, *parts: Padded) -> tuple[Tensor, list[Tensor]]:
    """The rows of `features` (X, n) that `parts` have, and for each part the row of every item (P, M)."""
    texts = torch.cat([part.text[part.real] for part in parts]).unique()
    place = torch.zeros(len(features), dtype=torch.int64)
    place[texts] = torch.arange(len(texts))
    return features[texts], [place[part.text] for part in parts]


def _of_class(problem: Problem, split: str, positive: bool) -> list[int]:
    pairs = zip(problem.items[split], problem.truth[split], strict=True)
    return [text for text, truth in pairs if truth is positive]


def _texts(task: ProbingTask) -> int:
    return len({text for problem in task.problems for text in problem.items["test"]})

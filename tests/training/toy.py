"""A small store of sparse features that persist over tokens, and short training runs on it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pipeline.sae.core.index import Run
from pipeline.sae.core.inference import SAE
from pipeline.sae.method.state import State
from pipeline.sae.method.variant import Recipe
from pipeline.store import Reader, Store
from pipeline.training.controller import SparsityController
from pipeline.training.job import Job, method
from pipeline.training.run import Trained, train
from pipeline.training.section import TrainSection
from pipeline.training.trainer import Trainer, initial_weights

D, T = 16, 16
SPLITS = {"train": (0, 320), "validation": (320, 384), "test": (384, 400)}
BOS = 0
VARIANTS = [
    "standard", "topk", "batchtopk", "jumprelu", "gated", "matryoshka", "atm", "temporal", "tsae",
    "contrastive", "txc", "tfa",
]  # fmt: skip


def rows(contexts: int = 400, seed: int = 0) -> tuple[Tensor, Tensor]:
    """x (N, d): per document a few persistent features, per token a few more, around a mean; document ids."""
    g = torch.Generator().manual_seed(seed)
    count, features = contexts * T, 32
    directions = torch.randn(features, D, generator=g)
    directions /= directions.norm(dim=1, keepdim=True)
    # documents of 8 tokens: two in each context
    document = torch.arange(count) // 8
    persistent = (torch.rand(count // 8, features, generator=g) < 0.06)[document]
    fleeting = torch.rand(count, features, generator=g) < 0.04
    size = 1 + torch.rand(count, features, generator=g)
    x = ((persistent | fleeting) * size) @ directions + torch.randn(D, generator=g)
    return 3 * (x + 0.02 * torch.randn(count, D, generator=g)), document


def store() -> Store:
    """The rows in memory; the first of each context is special."""
    x, document = rows()
    tokens = torch.ones(len(x), dtype=torch.int64)
    tokens[::T] = BOS
    return Store.from_tensors(
        x, document, tokens=tokens, special_ids=[BOS], context_length=T, splits=SPLITS, chunk_contexts=16
    )


def section(**values: Any) -> TrainSection:
    """48 latents, batches of 64, 60 steps."""
    defaults: dict[str, Any] = {
        "n": 48, "l0": [3], "tokens": 60 * 64, "batch": 64, "lr": 3e-3, "dead_tokens": 512,
        "validation_tokens": 512, "log_every": 5, "checkpoint_every": 20,
    }  # fmt: skip
    return TrainSection(**(defaults | values))


def trained(
    variant: str,
    values: dict[str, Any] | None = None,
    seed: int = 1,
    control: str | None = None,
    **sizes: Any,
) -> list[Trained]:
    """Train on the toy store."""
    job = Job.of(variant, values or {}, seed, control)
    return train(job, section(**sizes), store(), torch.device("cpu"))


def same(a: Trained, b: Trained) -> bool:
    """Equal weights, statistics, log and run, bit for bit."""
    runs: tuple[Run, Run] = (a.run, b.run)
    tensors = [
        {k: v for k, v in vars(one.sae).items() if isinstance(v, Tensor)}
        | {f"past.{k}": v for k, v in past.tensors().items()}
        | one.statistics
        for one, past in ((each, each.sae.window or each.sae.attention or State()) for each in (a, b))
    ]
    return (
        runs[0] == runs[1]
        and a.log == b.log
        and a.gap == b.gap
        and tensors[0].keys() == tensors[1].keys()
        and all(torch.equal(tensor, tensors[1][name]) for name, tensor in tensors[0].items())
    )


def flickering(documents: int = 800, d: int = 24, features: int = 12) -> Store:
    """Orthogonal features, per token about two that last for their document and two that do not."""
    g = torch.Generator().manual_seed(0)
    directions = torch.linalg.qr(torch.randn(d, d, generator=g))[0][: 2 * features]
    document = torch.arange(documents * 8) // 8

    def drawn(count: int) -> Tensor:
        on = torch.rand(count, features, generator=g) < 2 / features
        return on * (1 + torch.rand(count, features, generator=g))

    f = torch.cat([drawn(documents)[document], drawn(documents * 8)], 1)
    mean = 3 * torch.randn(d, generator=g) / d**0.5
    x = f @ directions + mean + 0.02 * torch.randn(documents * 8, d, generator=g)
    contexts = documents // 2
    splits = {"train": (0, contexts - 80), "validation": (contexts - 80, contexts)}
    return Store.from_tensors(x, document, context_length=16, splits=splits, chunk_contexts=16)


def change(sae: SAE, source: Store) -> float:
    """Sum of |f_t - f_{t-1}|^2 over sum of |f_t|^2 + |f_{t-1}|^2, neighbours of validation documents."""
    span = source.split("validation")
    f = sae.encode(source.rows(span.start, span.stop)).dense().double()
    document = torch.from_numpy(source.document[span.start : span.stop])
    same_text = document[1:] == document[:-1]
    now, before = f[1:][same_text], f[:-1][same_text]
    return float((now - before).square().sum() / (now.square().sum() + before.square().sum()))


def trainer(variant: str, values: dict[str, Any] | None = None, steps: int = 60, seed: int = 1,
            device: torch.device | str = "cpu", **sizes: Any) -> tuple[Trainer, Reader]:  # fmt: skip
    """One trainer at one target on the toy store and its reader, for stepping by hand."""
    scale = section(tokens=steps * 64, **sizes)
    config_type, method_type = method(variant)
    made = method_type(config_type.parse(values or {}, variant), D, scale.n, scale.l0[0])
    source = store()
    recipe = made.recipe(Recipe(steps=steps, batch=scale.batch, lr=scale.lr))
    generator = torch.Generator().manual_seed(seed)
    sample = torch.randn(32, D, generator=torch.Generator().manual_seed(0)).to(device)
    controller = SparsityController(scale.l0[0], 0.01, steps, 0.4) if made.controlled else None
    fired = torch.zeros(made.n, dtype=torch.int64, device=device)
    weights = initial_weights(made, sample, generator)
    one = Trainer(
        variant=made, recipe=recipe, scale=source.attrs.scale, dead_tokens=scale.dead_tokens,
        precision="float32", weights=weights, generator=generator, controller=controller, fired=fired,
    )  # fmt: skip
    return one, Reader(source, "train", made.reading, scale.batch, seed, window=made.window)


def kill(one: Trainer, latents: range) -> None:
    """Push `latents` so far down that they never fire by themselves."""
    with torch.no_grad():
        one.weights["b_enc"][latents] = -50.0

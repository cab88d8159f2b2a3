"""The stage `harvest`: run the language model up to a site over all tokens, keep its activations."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

import torch

from pipeline.console.errors import BadInput
from pipeline.console.launch import arguments, launched, relaunch
from pipeline.console.progress import Progress
from pipeline.lm.core.load import LanguageModel, load_lm
from pipeline.lm.signals import Split, measure
from pipeline.numbers.files import write_json
from pipeline.parallel.ranks import join
from pipeline.parallel.world import World, part
from pipeline.params import read_params
from pipeline.params.compute import ComputeSection
from pipeline.stages.common.code import closure
from pipeline.stages.common.files import ACTIVATIONS, LM, TOKENS, VERSIONS
from pipeline.stages.common.scratch import publish, scratch
from pipeline.store.schema import Header, chunk_contexts
from pipeline.store.section import GateSection, HarvestSection
from pipeline.store.store import Store, open_store
from pipeline.store.writer import Writer
from pipeline.text.contexts import Tokens, open_tokens
from pipeline.text.filter import reached
from pipeline.text.states import States, read_states

REPORT, REPORT_VERSION = "report.json", 1
"""What the activations carry (lm/signals.py), beside them."""
ROOM = 2**26
"""Numbers of a split that are held in memory to measure it."""
GATE_LAG = 10
"""Tokens apart, of the gate's `autocorrelation`."""


def run() -> None:
    """Write data/activations from data/tokens and models/lm; goes on where a killed run stopped.

    Several processes share the chunks; the bytes are the same.

    Measures what they carry. Raises BadInput for a layer that does not exist, tokens of another tokenizer
    than the model's, activations that are NaN or infinite or do not pass the gate, and a full disk.
    """
    params = read_params()
    section = params.get("profile.harvest", HarvestSection)
    compute = params.get("profile.compute", ComputeSection)
    device = compute.apply()
    tokens = open_tokens(TOKENS)
    lm = load_lm(LM, device, compute.lm_precision)
    lm.require(section.site)
    _check_tokens(tokens, lm)
    if launched() is None and arguments():
        relaunch(["harvest"], 1, compute.threads)
    world = join(device)
    inputs = {"harvest": section.model_dump(), "compute": compute.model_dump()}
    declared = [*closure("stages.harvest"), VERSIONS, TOKENS, LM]
    folder = scratch("harvest", inputs, declared)
    header = _header(section, tokens, lm)
    if not world.leads:
        world.wait()  # the first process makes the arrays, the others open them
    writer = Writer(folder, header, tokens.tokens, tokens.document)
    if world.leads:
        world.wait()
    _harvest(lm, tokens, writer, section, world)
    world.wait()
    if world.leads:
        writer.finish()
        report = _report(open_store(folder), tokens)
        write_json(folder / REPORT, {"version": REPORT_VERSION, "site": str(section.site), **report})
        if section.gate is not None:
            check(report, section.gate)
        publish(folder, ACTIVATIONS)


def _report(store: Store, tokens: Tokens) -> dict[str, Any]:
    states = read_states(TOKENS)
    train, test = (_split(store, tokens, states, name) for name in ("train", "test"))
    return measure(train, test, reached(tokens, states))


def _split(store: Store, tokens: Tokens, states: States | None, name: str) -> Split:
    """The split's contexts, as many as fit ROOM; drills do not count where the text has labels."""
    width = tokens.context_length
    start, stop = tokens.splits[name]
    stop = min(stop, start + max(ROOM // (width * store.d), 1))
    real = store.valid[start * width : stop * width].reshape(-1, width)
    if states is not None:
        states = States(states.fields, states.values[start:stop])
        real = real & (states.values >= 0).any(-1)
    return Split(
        store.rows(start * width, stop * width).reshape(-1, width, store.d),
        tokens.tokens[start:stop], tokens.document[start:stop], real, states,
    )  # fmt: skip


def check(report: Mapping[str, Any], gate: GateSection) -> None:
    """Raise BadInput, naming every bound of `gate` that the `report` does not keep."""
    linear = [each["name"] for each in report["states"] if (each["ratio"] or 0) >= gate.linear]
    lagged = report["autocorrelation"][str(GATE_LAG)]
    faults = [
        f"{name} is {value:.3g}, {bound:g} is the {'least' if least else 'most'}"
        for name, value, bound, least in (
            ("slow_states", len(linear), gate.slow_states, True),
            ("participation_ratio", report["participation_ratio"], gate.participation_ratio, True),
            ("token_share", report["token_share"], gate.token_share, False),
            ("document_share", report["document_share"], gate.document_share, True),
            ("position_share", report["position_share"], gate.position_share, False),
            ("autocorrelation", -1.0 if lagged is None else lagged, gate.autocorrelation, True),
        )
        if (value < bound if least else value > bound)
    ]
    if faults:
        raise BadInput(
            f"the activations do not pass `harvest.gate` ({'; '.join(faults)}), so questions about slow "
            "signals would mean nothing: choose another site or model, or set the gate to null to go on."
        )


def _harvest(
    lm: LanguageModel, tokens: Tokens, writer: Writer, section: HarvestSection, world: World
) -> None:
    """Write every chunk that is not there yet; batches begin with each chunk, so any run makes the same."""
    left = _left(writer, world)
    _check_space(writer, len(left), section)
    mine = part(world, left)
    total = sum(len(writer.span(chunk)) for chunk in mine) * tokens.context_length
    title = "harvest" if world.size == 1 else f"harvest {world.rank + 1} of {world.size}"
    with Progress(title, total=total, unit="tokens") as bar:
        for chunk in mine:
            span = writer.span(chunk)
            pieces = []
            for start in range(span.start, span.stop, section.batch_contexts):
                ids = torch.from_numpy(tokens.tokens[start : min(start + section.batch_contexts, span.stop)])
                pieces.append(lm.forward_to(ids.long(), section.site).cpu())
                bar.advance(ids.numel())
            writer.write(chunk, torch.cat(pieces))


def _left(writer: Writer, world: World) -> list[int]:
    """The chunks that are not there yet, the same list in all processes, which share the checks."""
    left = [chunk for chunk in part(world, [*range(writer.chunks)]) if not writer.done(chunk)]
    return sorted(torch.cat(world.gather(torch.tensor(left, dtype=torch.int64))).tolist())


def _header(section: HarvestSection, tokens: Tokens, lm: LanguageModel) -> Header:
    return Header(
        model_id=lm.model_id,
        revision=lm.resolved.revision,
        weights_sha256=lm.weights_sha256,
        tokenizer_hash=tokens.tokenizer_hash,
        layer=section.site.layer,
        hook_name=section.site.hook_name,
        d=lm.d,
        context_length=tokens.context_length,
        special_ids=sorted(tokens.special_ids),
        splits={name: list(ends) for name, ends in tokens.splits.items()},
        logical_dtype=section.dtype,
        codec=section.codec,
        chunk_contexts=chunk_contexts(section.chunk_mib, tokens.context_length, lm.d, section.dtype),
    )


def _check_tokens(tokens: Tokens, lm: LanguageModel) -> None:
    if tokens.tokenizer_hash != lm.resolved.tokenizer_sha256:
        raise BadInput(
            f"{TOKENS} was made with another tokenizer than that of {lm.model_id}; "
            "run `dvc repro -f corpus model` with the same profile."
        )
    if int(tokens.tokens.max()) >= lm.resolved.vocab_size or int(tokens.tokens.min()) < 0:
        raise BadInput(
            f"{TOKENS} has token ids outside the {lm.resolved.vocab_size} of {lm.model_id}; "
            "run `dvc repro -f corpus`."
        )


def _check_space(writer: Writer, chunks: int, section: HarvestSection) -> None:
    """Say at once what would otherwise be found out hours later; compressed sizes are not known before."""
    if section.codec != "none":
        return
    needed, free = chunks * writer.chunk_bytes, shutil.disk_usage(writer.path).free
    if needed > free:
        raise BadInput(
            f"the activations need {needed / 2**30:.1f} GiB more but the disk of {writer.path} has "
            f"{free / 2**30:.1f} GiB free; free some space or lower `text.train_contexts`."
        )

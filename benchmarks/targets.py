"""What was aimed for, as ratios of two contestants in one row, and why a number misses where it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.timing import ratio

Rows = dict[str, dict[str, Any]]

OURS, HALF = "ours, float32", "ours, bfloat16"
BASIC = ("standard", "topk", "batchtopk", "jumprelu")
HARDER = ("temporal", "tsae", "atm", "gated", "matryoshka", "contrastive")


@dataclass(frozen=True)
class Target:
    """`slow` over `fast` of a row must be at least, or at most, `bound`."""

    what: str
    row: str
    slow: str
    fast: str
    bound: float
    at_least: bool
    clock: str  # cpu: seconds of all threads, which a busy neighbour leaves alone; wall: where disks count
    reason: str = ""  # of a miss

    def found(self, rows: Rows) -> float | None:
        """The ratio, or None where the row was not measured."""
        times = rows.get(self.row, {}).get("times", {})
        if self.slow not in times or self.fast not in times:
            return None
        return ratio(times[self.slow], times[self.fast], self.clock)

    def met(self, value: float) -> bool:
        """Whether `value` is on the right side of the bound."""
        return value >= self.bound if self.at_least else value <= self.bound


NEAR_FLOOR = (
    "the floor has no gradients: decoding, three sparse bags of the backward pass, the decoder's projection "
    "and the statistics cost 15 to 25 ms of one core, whatever the encoder's matmul costs"
)


def cpu_targets(n: int = 4096) -> Iterator[Target]:
    """The targets of a CPU's rows."""
    for variant in BASIC:
        row = f"step/{variant}/n{n}"
        for theirs, ours, least, how in (
            ("SAELens", OURS, 4, ""), ("dictionary_learning", OURS, 3, ""),
            ("SAELens", HALF, 6, ", bfloat16 encoder"),
        ):  # fmt: skip
            yield Target(f"{variant}: {theirs} over ours{how}", row, theirs, ours, least, True, "cpu")
        for floor, ours, how in (
            ("floor, float32", OURS, ""), ("floor, bfloat16", HALF, ", bfloat16 encoder"),
        ):  # fmt: skip
            what = f"{variant}: ours over its floor{how}"
            yield Target(what, row, ours, floor, 1.3, False, "cpu", NEAR_FLOOR)
    for variant in HARDER:
        row = f"step/{variant}/n{n}"
        yield Target(
            f"{variant}: over standard, per encoded token", row, OURS, "ours, standard", 1.5, False, "cpu"
        )
    yield Target(
        "shuffled token reads: memmap's sequential time over ours (store in memory)",
        "store/tokens", "memmap, sequential", "ours, store in memory", 0.7, True, "wall",
        "the random gather alone, torch's index_select, is 24 of 31 ms an epoch on an idle core; compare "
        "memmap's own random rows in the table",
    )  # fmt: skip
    yield Target(
        "shuffled token reads: memmap's sequential time over ours (pools of a quarter)",
        "store/tokens", "memmap, sequential", "ours, pools of a quarter", 0.7, True, "wall",
        "each row is checked (crc32c), copied into the pool and gathered out of it, and the thread reading "
        "ahead has no idle core on a busy machine",
    )  # fmt: skip
    yield Target(
        "harvest, store included, over the bare truncated forward",
        "harvest", "ours, store included", "bare truncated forward", 1.1, False, "wall",
    )  # fmt: skip


def evaluation_ratio(rows: Rows) -> float | None:
    """CPU seconds of SAEBench's three evaluations of an SAE over ours."""
    names = [f"evaluate/{name}" for name in ("core", "absorption", "probing")]
    if any(name not in rows for name in names):
        return None
    theirs, ours = (
        sum(rows[name]["times"][side]["cpu_seconds"] for name in names) for side in ("SAEBench", "ours")
    )
    return theirs / ours


CUDA = (
    ("n 65536, L0 64: dense compiled bfloat16 loop over ours", "bare dense loop", 2.0),
    ("n 65536, L0 64: SAELens over ours", "SAELens", 3.0),
)


def table(rows: Rows) -> list[tuple[str, float | None, str, str, str]]:
    """(what, ratio, target, met, reason) of every target; a row that is absent is unmeasured."""
    lines = []
    for target in cpu_targets():
        value = target.found(rows)
        bound = f"{'≥' if target.at_least else '≤'} {target.bound:g}"
        lines.append((target.what, value, bound, _verdict(target, value), _reason(target, value)))
    for variant in BASIC:
        record = rows.get(f"precision/{variant}")
        value = None if record is None else record["difference"]
        verdict = "unmeasured" if value is None else "met" if abs(value) <= 0.002 else "not met"
        reason = "" if verdict != "not met" or record is None else _precision(record)
        lines.append(
            (f"{variant}: explained variance, bfloat16 less float32", value, "± 0.002", verdict, reason)
        )
    value = evaluation_ratio(rows)
    verdict = "unmeasured" if value is None else "met" if value >= 8 else "not met"
    lines.append(("all evaluations of one SAE: SAEBench over ours", value, "≥ 8", verdict, ""))
    for what, slow, bound in CUDA:
        target = Target(what, "step/topk/n65536", slow, HALF, bound, True, "wall")
        value = target.found(rows)
        reason = "no GPU at hand" if value is None else ""
        lines.append((f"CUDA, d 2304: {what}", value, f"≥ {bound:g}", _verdict(target, value), reason))
    return lines


def _verdict(target: Target, value: float | None) -> str:
    return "unmeasured" if value is None else "met" if target.met(value) else "not met"


def _reason(target: Target, value: float | None) -> str:
    return target.reason if value is not None and not target.met(value) else ""


def _precision(record: dict[str, Any]) -> str:
    """The two trainings end at different L0 where a threshold or a controller reacts; seeds differ too."""
    found = record["found"]
    l0 = [f"{found[name]['l0']:.1f}" for name in ("bfloat16", "float32")]
    spread = found["float32, another seed"]["explained_variance"] - found["float32"]["explained_variance"]
    return (
        f"they end at L0 {l0[0]} and {l0[1]}, so the sparsity moved, not only the fit; two seeds of float32 "
        f"differ by {abs(spread):.4f}"
    )

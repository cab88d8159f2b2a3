"""Groups, rows, cells and footnotes, and what each renderer makes of them."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import pytest

from pipeline.compare.markdown import markdown
from pipeline.compare.metrics_json import metrics_json
from pipeline.compare.notes import caption, notes
from pipeline.compare.report import Cell, Group, Report, Row
from pipeline.compare.scores import Scores
from pipeline.compare.terminal import show
from tests.compare.conftest import NOTHING, tables, told
from tests.compare.fake import World

Gather = Callable[[World], Scores]
LETTERS = "only 12 of 26 letters pass the probe"
EXPLODED = "explained variance is -12.3 after step 400 of 781"


def row(group: Group, label: str) -> Row:
    return next(row for row in group.rows if row.label == label)


def cell(group: Group, label: str, column: str) -> Cell:
    return row(group, label).cells[[c.name for c in group.columns].index(column)]


def shown(found: Report) -> str:
    stream = io.StringIO()
    show(found, NOTHING, caption([42, 43]), ["a note"], stream)
    return stream.getvalue()


def test_one_group_per_target_then_the_presets(gather: Gather) -> None:
    found = tables(gather(World()))
    assert [group.target for group in found.groups] == [4, 16, None]
    assert found.groups[2].title.startswith("Paper presets: no L0 target")
    assert [row.label for row in found.groups[2].rows if not row.reference] == ["temporal"]


def test_external_saes_stand_in_a_group_of_their_own_with_their_l0(gather: Gather) -> None:
    """Never beside rows of a target, and never marked: their one seed shows no spread."""
    world = World(given=("mine", "scope"), values={("scope", "given", None, 0, "l0"): 82.4})
    scores = gather(world)
    found = tables(scores)
    assert [group.target for group in found.groups] == [4, 16, None, None]
    group = found.groups[-1]
    assert group.title.startswith("Trained elsewhere")
    rows = [row for row in group.rows if not row.reference]
    assert [row.label for row in rows] == ["mine", "scope"]
    assert cell(group, "scope", "l0").text == "82.40"
    assert not any(cell.mark for row in rows for cell in row.cells)
    assert not {"scope", "mine"} & {row.label for other in found.groups[:-1] for row in other.rows}
    said = " ".join(notes(scores, told(scores), [42, 43], "embedded", []))
    assert "mine (n = 1024), scope (n = 1024)" in said
    assert metrics_json(scores)["scope"]["given"]["l0"] == 82.4


def test_controls_stand_right_under_their_variant(gather: Gather) -> None:
    for group in tables(gather(World(variants=["topk", "standard", "atm"]))).groups[:2]:
        labels = [(r.label, r.control) for r in group.rows if not r.reference]
        assert labels == [
            ("topk", False), ("standard", False), ("standard (pairs)", True), ("standard (contexts)", True),
            ("atm", False),
        ]  # fmt: skip


def test_a_cell_is_the_mean_and_half_its_interval(gather: Gather) -> None:
    """One row of two seeds: t with one degree of freedom."""
    world = World(variants=["topk"], controls=(), papers=())
    world.values = {("topk", "l0-4", 4, seed, "persistence"): v for seed, v in ((42, 0.700), (43, 0.702))}
    found = cell(tables(gather(world)).groups[0], "topk", "persistence")
    assert (found.text, found.half) == ("0.701", "0.013")  # 12.706 * 0.001


def test_a_cell_without_any_spread_has_no_interval(gather: Gather) -> None:
    world = World(variants=["topk"], controls=(), papers=())
    world.values = {("topk", "l0-4", 4, seed, "dead_share"): 0.5 for seed in (42, 43)}
    found = cell(tables(gather(world)).groups[0], "topk", "dead")
    assert (found.text, found.half) == ("0.500", "")


def test_a_missed_target_is_flagged_and_not_compared(gather: Gather) -> None:
    world = World()
    world.values = {("topk", "l0-4", 4, 42, "l0"): 4.9}
    world.values |= {("topk", "l0-4", 4, seed, "explained_variance"): 0.999 for seed in (42, 43)}
    group = tables(gather(world)).groups[0]
    assert cell(group, "topk", "l0").flag == "!"
    assert cell(group, "topk", "explained_variance").mark == ""
    assert cell(group, "standard", "l0").flag == ""
    assert any(r.cells[1].mark for r in group.rows)


def test_the_best_row_is_marked_only_above_the_spread(gather: Gather) -> None:
    world = World()
    world.values = {("atm", "l0-4", 4, seed, "persistence"): v for seed, v in ((42, 0.998), (43, 0.999))}
    found = tables(gather(world)).groups[0]
    assert cell(found, "atm", "persistence").mark == "best"
    world.values |= {("topk", "l0-4", 4, seed, "persistence"): v for seed, v in ((42, 0.9985), (43, 0.97))}
    found = tables(gather(world)).groups[0]
    assert [cell(found, label, "persistence").mark for label in ("atm", "topk", "standard")] == [
        "tied",
        "tied",
        "",
    ]


def test_a_diverged_sae_says_so_in_every_cell_and_gives_its_reason(gather: Gather) -> None:
    world = World(diverged={("atm", "l0-4", 42): EXPLODED, ("atm", "l0-4", 43): EXPLODED})
    found = tables(gather(world))
    assert {c.text for c in row(found.groups[0], "atm").cells} == {"diverged"}
    assert [found.footnotes[n - 1] for n in row(found.groups[0], "atm").notes] == [
        f"atm, run l0-4, seed {seed} diverged: {EXPLODED}" for seed in (42, 43)
    ]
    assert row(found.groups[1], "atm").notes == ()


def test_one_diverged_seed_leaves_the_other_and_no_spread(gather: Gather) -> None:
    found = tables(gather(World(diverged={("atm", "l0-4", 42): EXPLODED})))
    got = cell(found.groups[0], "atm", "probing")
    assert (got.flag, got.half, got.mark, got.notes) == ("1/2 seeds", "", "", ())
    assert found.footnotes == [f"atm, run l0-4, seed 42 diverged: {EXPLODED}"]


def test_a_missing_value_says_missing_with_its_reason_once(gather: Gather) -> None:
    world = World(missing={("topk l0-16", seed, "letter_f1_k1"): LETTERS for seed in (42, 43)})
    found = tables(gather(world))
    got = cell(found.groups[1], "topk", "letter_f1")
    assert (got.text, got.notes) == ("missing", (1,))
    assert found.footnotes == [LETTERS]


def test_references_stand_below_in_their_columns_only(gather: Gather) -> None:
    group = tables(gather(World())).groups[0]
    below = [r.label for r in group.rows if r.reference]
    assert below == [
        "untrained SAE",
        "decoder permuted",
        "raw residual, neuron",
        "dense probe",
        "token lookup (L0 1)",
        "shuffled tokens",
    ]
    assert below == [r.label for r in group.rows[-6:]]
    assert cell(group, "dense probe", "probing").text == "0.930"
    assert sum(bool(c.text) for c in group.rows[-3].cells) == 1
    assert cell(group, "untrained SAE", "letter_f1").text == "0.100"
    assert cell(group, "decoder permuted", "explained_variance").text == "-1.10..-0.50"
    assert cell(group, "decoder permuted", "letter_f1").text == ""


def test_a_reference_that_differs_between_saes_is_none(gather: Gather) -> None:
    world = World()
    world.values = {("topk", "l0-4", 4, 42, "raw_dense"): 0.5}
    assert "dense probe" not in [r.label for r in tables(gather(world)).groups[0].rows]


def test_ground_truth_is_a_group_of_its_own_with_the_true_l0(gather: Gather) -> None:
    found = tables(gather(World()))
    assert [g.title for g in found.truth] == [
        f"Synthetic activations with a known dictionary (true L0 8), L0 target {target}" for target in (4, 16)
    ]
    assert [r.label for r in found.truth[0].rows] == ["standard", "topk", "atm", "temporal"]


def test_markdown_says_everything(gather: Gather) -> None:
    world = World(
        diverged={("atm", "l0-4", 42): EXPLODED, ("atm", "l0-4", 43): EXPLODED},
        missing={("topk l0-16", seed, "letter_f1_k1"): LETTERS for seed in (42, 43)},
    )
    found = tables(gather(world))
    text = markdown("Title", found, NOTHING, [], caption([42, 43]), ["note one"])
    assert "Mean over 2 training seeds (42, 43) ± half of its 95 % interval" in text
    assert re.search(r"^\| atm \[1\] \[2\] \| diverged \|", text, re.MULTILINE)
    assert f"- [1] atm, run l0-4, seed 42 diverged: {EXPLODED}" in text
    assert "missing [3]" in text
    assert "&emsp;standard (pairs)" in text
    for line in [line for line in text.splitlines() if line.startswith("| ")]:
        bars = line.replace("\\|", "").count("|")
        assert bars in {len(group.columns) + 2 for group in (found.groups[0], found.truth[0])}


def test_markup_in_names_and_reasons_is_escaped(gather: Gather) -> None:
    reason = "a|b <script>alert(1)</script> [bold]"
    world = World(variants=["standard", "<b>"], papers=(), diverged={("<b>", "l0-4", 42): reason})
    found = tables(gather(world))
    text = markdown("T", found, NOTHING, [], ["c"], ["n"])
    assert "<b>" not in text
    assert "a\\|b" in text
    assert "[bold]" in shown(found)


def test_the_terminal_is_ascii_narrow_and_uncut_in_a_log(gather: Gather) -> None:
    world = World(missing={("topk l0-16", seed, "letter_f1_k1"): LETTERS for seed in (42, 43)})
    text = shown(tables(gather(world)))
    assert text.isascii()
    assert "..." not in text
    printed = text.split("Mean over")[0]
    assert max(len(line.rstrip()) for line in printed.splitlines()) <= 120
    assert re.search(r"^  \(contexts\) ", text, re.MULTILINE)
    assert "missing [1]" in text
    assert f"[1] {LETTERS}" in text


@pytest.mark.parametrize(
    ("seeds", "said"), [([1], "1 training seed does not"), ([1, 2], "2 training seeds do not")]
)
def test_few_seeds_establish_no_ranking(gather: Gather, seeds: list[int], said: str) -> None:
    whole = gather(World(seeds=seeds))
    text = " ".join(notes(whole, told(whole), seeds, "embedded", [800_000]))
    assert said in text
    assert "model embedded, layer 1, d = 128, n = 1024, 800,000 training tokens per SAE" in text
    assert "letter F1" in text


def test_five_seeds_need_no_such_warning(gather: Gather) -> None:
    whole = gather(World(variants=["topk"], seeds=[1, 2, 3, 4, 5], controls=(), papers=()))
    text = " ".join(notes(whole, told(whole), [1, 2, 3, 4, 5], "embedded", []))
    assert "ranking" not in text
    assert "controls" not in text


def test_one_seed_has_no_spread_and_no_marks(gather: Gather) -> None:
    found = tables(gather(World(seeds=[7])))
    assert {c.half + c.mark for group in found.groups for r in group.rows for c in r.cells} == {""}
    assert "no number has an interval" in caption([7])[0]


def test_metrics_json_has_means_and_null_for_what_a_seed_lacks(gather: Gather) -> None:
    world = World(missing={("topk l0-16", 43, "letter_f1_k1"): LETTERS})
    world.values = {
        ("topk", "l0-4", 4, seed, "explained_variance"): v for seed, v in ((42, 0.70), (43, 0.78))
    }
    found = metrics_json(gather(world))
    assert found["topk"]["l0-4"]["explained_variance"] == 0.74
    assert found["topk"]["l0-16"]["letter_f1"] is None
    assert list(found) == ["standard", "topk", "atm", "temporal"]
    assert list(found["standard"]) == ["l0-4", "l0-16", "truth-l0-4", "truth-l0-16"]
    assert list(found["temporal"]) == ["l0-4", "l0-16", "paper", "truth-l0-4", "truth-l0-16"]

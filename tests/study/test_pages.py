"""Pages say what the tables say: by rule better, worse, equal or open; and what was not run."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.commands import study as command
from pipeline.console.errors import BadInput
from pipeline.handbook.marks import Mark
from pipeline.params import read_params
from pipeline.study.answers import Answers
from pipeline.study.page import said
from pipeline.study.picture import picture
from pipeline.study.replicate import means
from pipeline.study.section import read_study
from pipeline.study.workspace import workspaces
from tests.study.made import PARAMS, STUDY, Score, write_params, write_results

MARGINS = {"score": 0.05, "price": 0.05}
CARD = {**PARAMS, "compare": {"margins": MARGINS}}
COMPARED = [
    {"row": "atm", "against": "topk", "outcomes": ["score", "price"]},
    {"asks": "time", "row": "atm", "against": "gated", "outcomes": ["score"]},
    {"asks": "part", "row": "atm", "against": "gated", "outcomes": ["score", "price"]},
    {"asks": "base", "row": "atm", "against": "gated", "outcomes": ["score", "price"]},
]


def noise(metric: str, label: str, seed: int, target: int) -> float:
    return 0.0005 * ((seed * 7 + target + len(label) + len(metric)) % 3)


def effects(**of: float) -> Score:
    """Values above topk's: `atm_score=0.2`."""
    return lambda metric, label, seed, target: (
        0.5 + of.get(f"{label}_{metric}", 0.0) + noise(metric, label, seed, target)
    )


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path)
    main = {
        **STUDY["blocks"]["main"], "compared": COMPARED, "seeds": [1, 2, 3],
        "variants": ["topk", "atm", "gated"],
    }  # fmt: skip
    content = {**STUDY, "blocks": {**STUDY["blocks"], "main": main}}
    for name, tree in (("study.yaml", content), ("params.yaml", {**CARD, "gated": {}})):
        with Path(name).open("w") as file:
            YAML(typ="safe").dump(tree, file)


def gathered(*scores: Score) -> Answers:
    """The block `main` on as many language models as `scores`."""
    every = workspaces(read_study(), read_params().tree, "main")
    for space, score in zip(every, scores, strict=False):
        space.make()
        write_results(space, score)
    command.run([], False, True, Path())
    return Answers.read()


def shown(answers: Answers, asked: str, **options: str) -> str:
    text = said(Mark("study", asked, options), answers, {})
    assert text is not None
    return text


def short(answers: Answers) -> str:
    return shown(answers, "short", methods="atm")


def test_nothing_run_is_said_so_everywhere() -> None:
    answers = gathered()
    assert short(answers).strip() == "- **`atm`**: not run."
    assert shown(answers, "block main").strip() == "Not run."
    assert "**main** (Is atm better?) Not run." in shown(answers, "method atm")
    assert "| main | first | 24 | 0 |" in shown(answers, "run")
    assert "does not fit" not in shown(answers, "run")
    Path("study.yaml").write_text(Path("study.yaml").read_text().replace("hours: 10.0", "hours: 0.001"))
    assert "| not run: it does not fit into the hours |" in shown(gathered(), "run")
    assert "Not run" in shown(answers, "models")
    assert "not run" in shown(answers, "picture")
    assert picture(answers) is None


@pytest.mark.parametrize(
    ("score", "price", "says"),
    [
        (0.2, 0.3, "improves *score* (+0.2"),
        (0.2, 0.3, "at the price of *price* (+0.3"),
        (0.2, 0.0, "at no price that was asked about; equal within margin: *price*"),
        (-0.2, 0.3, "improves nothing that is told apart, and loses *score* (-0.2"),
        (0.0, 0.0, "is equal to its control; equal within margin: *score* and *price*"),
        (-0.2, -0.3, "improves *price* (-0.3"),  # lower is better
    ],
)
def test_words_follow_the_numbers(score: float, price: float, says: str) -> None:
    found = effects(atm_score=score, atm_price=price)
    assert says in short(gathered(found))


def noisy(metric: str, label: str, seed: int, target: int) -> float:
    """No effect, and seeds that differ by more than the margin."""
    return 0.5 + (0.2 * (seed - 2) if label == "atm" else 0.0) + noise(metric, label, seed, target)


def test_what_was_not_measured_yet_leaves_the_answer_open() -> None:
    """Equal or free of a price is said of everything that was asked, never of a part of it."""

    def without_price(**of: float) -> Score:
        full = effects(**of)
        return lambda metric, *of: None if metric == "price" else full(metric, *of)

    text = short(gathered(without_price()))
    assert (
        "is not told apart from its control; equal within margin: *score*; not compared yet: *price*." in text
    )
    text = short(gathered(without_price(atm_score=0.2)))
    assert "no price is told apart; not compared yet: *price*." in text


def test_an_effect_that_turns_with_the_target_shows_both() -> None:
    def turning(metric: str, label: str, seed: int, target: int) -> float:
        gain = {4: 0.3, 8: -0.1}[target] if (label, metric) == ("atm", "score") else 0.0
        return 0.5 + gain + noise(metric, label, seed, target)

    text = short(gathered(turning))
    assert ", +0.300 at L0 4 and -0.100 at L0 8)" in text
    assert "at L0 4 and" not in short(gathered(effects(atm_score=0.2))).replace("L0 4 and 8:", "")


def test_what_is_open_is_neither_equal_nor_better() -> None:
    text = short(gathered(noisy))
    assert "is not told apart from its control; not distinguishable: *score* and *price*." in text


@pytest.mark.parametrize(
    ("twin", "says"),
    [
        (0.0, "*score*: yes, +0.2"),
        (0.3, "*score*: no, its shuffled twin is better (-0.1"),
        (0.2, "*score*: no, its shuffled twin is equal within margin"),
    ],
)
def test_time_is_what_the_twin_lacks(twin: float, says: str) -> None:
    text = short(gathered(effects(atm_score=0.2, gated_score=twin)))
    assert f"**Is it time?** {says}" in text
    if says.startswith("*score*: yes"):
        assert "over its shuffled twin, of +0.200 over its control" in text


def test_which_part_does_it_and_whether_another_base_has_it_too() -> None:
    text = short(gathered(effects(atm_score=0.2, gated_score=0.1, gated_price=-0.1)))
    assert "**Which part does it?** Against `gated`: better in *score* (+0.1" in text
    assert "; worse in *price* (+0.1" in text
    assert "**On the other base:** *score* survives (+0.1" in text
    lost = short(gathered(effects(atm_score=0.2, gated_score=0.3)))
    assert "**On the other base:** *score* turns round (-0.1" in lost
    same = short(gathered(effects(atm_score=0.2, gated_score=0.2)))
    assert "**On the other base:** *score* is not shown: equal within margin (" in same
    assert "**Which part does it?** Against `gated`: equal within margin in *score* and *price*." in same


def test_time_without_a_gain_is_said_so() -> None:
    text = short(gathered(effects(gated_score=-0.2)))
    assert "over its shuffled twin, though no gain over its control is told apart" in text


def test_time_that_only_each_model_alone_shows_says_so() -> None:
    text = short(gathered(effects(atm_score=0.2), effects(atm_score=0.3)))
    assert "**Is it time?** *score*: yes, on each language model alone, +0.25" in text


def test_a_part_of_the_models_says_which_and_what_is_left() -> None:
    text = short(gathered(effects(atm_score=0.2)))
    assert "**Rests on** 1 language model (first), 3 SAE seeds each, L0 4 and 8: at least 12 SAEs" in text
    assert "still to run: second; the intervals hold SAE seeds and test items of this language model" in text
    assert "for *score* and *price* SAE seeds alone" in text  # these list no items
    both = gathered(effects(atm_score=0.2), effects(atm_score=0.2))
    assert "**Rests on** 2 language models (first, second)" in short(both)
    assert "still to run" not in short(both)


def test_the_page_has_every_comparison_its_n_and_what_would_overturn_it() -> None:
    answers = gathered(effects(atm_score=0.2), effects(atm_score=0.25))
    text = shown(answers, "block main")
    row = next(line for line in text.splitlines() if line.startswith("| atm | topk | score ↑ |"))
    assert "| 2 x 3 x 2 |" in row
    assert "| first +0.200▲, second +0.250▲ | ~ better on each language model alone" in row
    assert "What would overturn it: a third text." in text
    assert "what would overturn it: a third text." in shown(answers, "method atm")


def test_what_was_run_is_by_evaluation_and_method_with_the_code_and_other_values() -> None:
    answers = gathered(effects())
    text = shown(answers, "run")
    assert "| main | first | 24 | 24 |" in text
    assert "reconstruction: topk, atm, gated" in text
    assert "- `main-first`: code of a commit that is not known" in text
    assert "other values" not in text
    tree = {**CARD, "gated": {}, "topk": {"lr_scale": 3.0}}
    with Path("params.yaml").open("w") as file:
        YAML(typ="safe").dump(tree, file)
    assert "params.yaml now has other values of `topk.lr_scale`" in shown(Answers.read(), "run")


def test_a_retrained_model_is_held_against_printed_intervals() -> None:
    answers = gathered(effects(), effects(atm_score=0.2))
    near = {"low": 0.45, "high": 0.55}
    printed = {label: {"l0-4": {"score": near}} for label in ("topk", "atm", "gated")}
    text = said(Mark("study", "models"), answers, printed)
    assert text is not None
    row = next(line for line in text.splitlines() if line.startswith("| score | 4 |"))
    assert row.endswith("| 2 of 3 |")  # atm's lies outside
    assert "In all 2 of 3 means (67%) lie inside the printed intervals." in text
    second = means(answers.tables["text"], "second")
    assert second["atm"]["l0-4"]["score"] == pytest.approx(0.7, abs=0.01)


def test_the_picture_is_a_png_and_repeats() -> None:
    answers = gathered(effects(atm_score=0.2))
    drawn = picture(answers)
    assert drawn is not None
    assert drawn.startswith(b"\x89PNG")
    assert picture(answers) == drawn


@pytest.mark.parametrize("asked", ["block nosuch", "method nosuch", "colour"])
def test_a_mark_for_what_is_not_there_is_one_sentence(asked: str) -> None:
    with pytest.raises(BadInput, match="asks the study for"):
        shown(gathered(), asked)


def test_another_repository_s_study_is_gathered_and_not_run() -> None:
    with pytest.raises(BadInput, match="runs in its own repository"):
        command.run([], False, False, Path("elsewhere"))
    with pytest.raises(BadInput, match="has no block `nosuch`"):
        command.run(["nosuch"], True, False, Path())


def test_a_control_that_missed_its_targets_is_said_and_the_next_one_is_taken() -> None:
    again = {"row": "atm", "against": "gated", "outcomes": ["score", "price"]}
    text = Path("study.yaml").read_text()
    content = YAML(typ="safe").load(text)
    content["blocks"]["main"]["compared"].append(again)
    with Path("study.yaml").open("w") as file:
        YAML(typ="safe").dump(content, file)
    first = workspaces(read_study(), read_params().tree, "main")[0]
    first.make()
    write_results(first, effects(atm_score=0.2), missed=("topk", 4))
    results = first.results("reconstruction", "topk") / "results.json"
    results.write_text(results.read_text().replace('"on_target": true', '"on_target": false'))
    command.run([], False, True, Path())
    said_of = short(Answers.read())
    assert "**`atm`**, against `gated`, improves *score* (+0.2" in said_of
    assert (
        "Not against `topk`: no L0 target that enough SAEs of both rows met (L0 4 (3 of 3 SAEs of topk"
        in said_of
    )

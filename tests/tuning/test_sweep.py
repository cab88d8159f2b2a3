"""A sweep on a tiny store: kept, resumable, the same budget for all; its standing afterwards."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.params import Params, read_params
from pipeline.tuning.beds import profile_bed
from pipeline.tuning.methods import method_of
from pipeline.tuning.page import write_page
from pipeline.tuning.record import Trial, outcomes, path_of, read_trials, vouched, write_trials
from pipeline.tuning.search import Space, put, search
from pipeline.tuning.section import TuneSection
from pipeline.tuning.standing import NEVER, OLDER, of_profile, rates_of, values_of
from pipeline.tuning.sweep import Sweep
from pipeline.tuning.trial import Ground, Piece
from pipeline.tuning.write import write_values
from tests.training import toy

TREE: dict[str, Any] = {
    "profile": "small",
    "variants": ["topk", "temporal"],
    "seeds": [42],
    "profiles": {
        "small": {
            "text": {"seed": 0},
            "model": {"source": "hub"},
            "harvest": {"site": "resid_post.0", "dtype": "float32"},
            "train": {"n": 48, "l0": [3, 5], "tokens": 640},
            "tuned": {"topk": {}, "temporal": {"lr_scale": 3.0}},
        }
    },
    "topk": {"lr_scale": "tuned"},
    "temporal": {"lr_scale": "tuned", "weight": "tuned", "resampling": False, "controls": []},
    "tune": {
        "lr_scale": [1.0, 4.0], "cost": 0.5, "trials": 9,
        "values": {"temporal": {"weight": [0.0, 1.0]}}, "terms": {"temporal": "weight"},
    },
}  # fmt: skip
TOKENS = 640
CODE = "as it is now"


def params() -> Params:
    return read_params()


def ground() -> Ground:
    section = toy.section(l0=[3, 5], tokens=TOKENS, log_every=1000)
    return Ground(
        profile_bed(params(), "w" * 64), toy.store(), section, torch.device("cpu"), 7, lambda _: CODE
    )


def sweep(ends: float | None = None) -> Sweep:
    methods = {name: method_of(params(), name) for name in TREE["variants"]}
    return Sweep(ground(), params().get("tune", TuneSection), methods, TOKENS, ends)


def run(one: Sweep) -> dict[str, Any]:
    return one.run({name: Space.of(name, one.rules, each.defaults) for name, each in one.methods.items()})


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(json.dumps(TREE))
    return tmp_path


def settings(trials: list[Trial], variant: str) -> set[Any]:
    return {each.values for each in trials if each.variant == variant}


def test_a_sweep_is_kept_used_and_not_run_again(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = run(sweep())
    assert all(state.done for state in found.values())
    trials = read_trials(sweep().path)
    assert {each.target for each in trials} == {3, 5}
    assert len(settings(trials, "topk")) <= len(settings(trials, "temporal")) <= 9
    assert all(each.explained_variance < 1 and each.seed == 7 for each in trials)
    # the record alone gives the same again: nothing is trained
    monkeypatch.setattr(Ground, "try_out", lambda *_: pytest.fail("a finished trial ran again"))
    assert run(sweep()) == found
    bold = f"**{dict(found['topk'].best)['lr_scale']:g}**"
    write_values(Path("params.yaml"), "profiles.small.tuned", {n: s.best for n, s in found.items()})
    text = write_page(ground().bed, params(), sweep().rules, [3, 5]).read_text()
    assert "## temporal" in text
    assert bold in text
    assert of_profile(params(), lambda _: CODE) == {"topk": "", "temporal": ""}


def test_a_stopped_sweep_goes_on(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Trial] = []
    whole = Ground.try_out

    def until_three(self: Ground, piece: Any) -> Trial:
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(whole(self, piece))
        return made[-1]

    monkeypatch.setenv("SAELINE_WORKERS", "1")
    with monkeypatch.context() as stopping:
        stopping.setattr(Ground, "try_out", until_three)
        with pytest.raises(KeyboardInterrupt):
            run(sweep())
    kept = read_trials(sweep().path)
    assert len(kept) == 3
    again: list[Any] = []
    monkeypatch.setattr(Ground, "try_out", lambda self, piece: again.append(piece) or whole(self, piece))
    assert all(state.done for state in run(sweep()).values())
    keys = [each.key for each in read_trials(sweep().path)]
    assert len(keys) == len(set(keys)) == 3 + len(again)


def test_no_trial_begins_when_the_time_is_over(here: Path) -> None:
    found = run(sweep(ends=0.0))
    assert not any(state.done for state in found.values())
    assert read_trials(sweep().path) == []


def test_a_diverged_trial_is_a_row_and_loses(here: Path) -> None:
    one = sweep()
    section = one.ground.section.model_copy(update={"lr": 1e6, "l0": [3]})
    trial = one.ground.try_out(Piece(one.methods["topk"], (("lr_scale", 1.0),), section))
    assert trial.status == "diverged"
    write_trials(one.path, [trial])
    assert read_trials(one.path)[0].key == trial.key
    assert outcomes([trial], [3], TOKENS) == {(("lr_scale", 1.0),): None}


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """The tree with the values of a finished sweep, and its record."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("swept"))
        Path("params.yaml").write_text(json.dumps(TREE))
        found = run(sweep())
        tree = copy.deepcopy(TREE)
        tree["profiles"]["small"]["tuned"] = {name: dict(state.best) for name, state in found.items()}
        return tree, sweep().path.read_text()


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("seeds", [42], ""),
        ("profiles.small.text.seed", 1, "another text, model or training section"),
        ("temporal.resampling", True, "other values beside"),
        ("temporal.controls", ["shuffled"], ""),
        ("profiles.small.tuned.temporal.lr_scale", 16.0, "its record gives"),
        ("profiles.small.train.tokens", 6400, "tuned at 640 tokens, not at 6,400"),
        ("profiles.small.train.l0", [3, 9], "not finished"),
        ("tune.seed", 8, "other values beside"),
    ],
)
def test_what_was_changed_since_is_said(
    record: tuple[dict[str, Any], str], here: Path, key: str, value: Any, says: str
) -> None:
    tree = copy.deepcopy(record[0])
    *parents, last = key.split(".")
    node = tree
    for part in parents:
        node = node[part]
    node[last] = value
    path_of("small").parent.mkdir(parents=True)
    path_of("small").write_text(record[1])
    found = of_profile(Params(tree), lambda _: CODE)["temporal"]
    assert says in found
    assert bool(says) == bool(found)


def test_a_rate_searched_at_full_length_completes_a_shorter_search(
    record: tuple[dict[str, Any], str], here: Path
) -> None:
    """Own values at 640 tokens, the rate at 1,280: then, and with that rate, the values count as tuned."""
    tree = copy.deepcopy(record[0])
    tree["profiles"]["small"]["train"]["tokens"] = 2 * TOKENS
    path_of("small").parent.mkdir(parents=True)
    path_of("small").write_text(record[1])
    Path("params.yaml").write_text(json.dumps(tree))
    assert "tuned at 640 tokens" in of_profile(params(), lambda _: CODE)["temporal"]
    values = tree["profiles"]["small"]["tuned"]["temporal"]
    rules, one = params().get("tune", TuneSection), sweep()
    space = Space.of("temporal", rules, values, rate=True)
    longer = Sweep(one.ground, rules, one.methods, 2 * TOKENS).run({"temporal": space})["temporal"]
    write_values(Path("params.yaml"), "profiles.small.tuned", {"temporal": longer.best})
    assert of_profile(params(), lambda _: CODE)["temporal"] == ""
    write_values(
        Path("params.yaml"), "profiles.small.tuned", {"temporal": put(longer.best, "lr_scale", 99.0)}
    )
    assert "its record gives" in of_profile(params(), lambda _: CODE)["temporal"]


def test_trials_of_older_code_do_not_count_and_are_replaced(
    record: tuple[dict[str, Any], str], here: Path
) -> None:
    path_of("small").parent.mkdir(parents=True)
    path_of("small").write_text(record[1])
    Path("params.yaml").write_text(json.dumps(record[0]))
    before = read_trials(path_of("small"))

    def newer(variant: str) -> str:
        return "changed" if variant == "topk" else CODE

    assert of_profile(params(), newer) == {"topk": OLDER, "temporal": ""}
    one = sweep()
    run(Sweep(replace(one.ground, code=newer), one.rules, one.methods, TOKENS))
    after = read_trials(one.path)
    assert [each.key for each in after] == [each.key for each in before]  # again, each in its own place
    assert {each.code for each in after if each.variant == "topk"} == {"changed"}
    assert of_profile(params(), newer) == {"topk": "", "temporal": ""}
    assert of_profile(params(), lambda _: CODE)["topk"] == OLDER
    write_trials(one.path, vouched(after, "topk", CODE))
    assert of_profile(params(), lambda _: CODE) == {"topk": "", "temporal": ""}


def planted(values: dict[str, float], tokens: int = TOKENS, **other: Any) -> list[Trial]:
    """Trials of temporal at both targets, all alike but for what `other` says."""
    bed, method = ground().bed, method_of(params(), "temporal")
    made = Trial(
        variant="temporal", values=tuple(sorted(values.items())), others=method.hash, tokens=tokens, target=3,
        status="ok", on_target=True, l0=3.0, explained_variance=0.9, norm_ratio=1.0, persistence=0.5,
        persistence_energy=0.5, dead=0, seconds=1.0, seed=7, basis=bed.basis, weights=bed.weights, code=CODE,
    )  # fmt: skip
    return [replace(made, target=target, **other) for target in (3, 5)]


RATES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)


def test_equal_rates_at_another_length_give_what_the_shorter_search_gave(here: Path) -> None:
    """Not what params.yaml has now, 3: `check` would then find another value than `tune --times` wrote."""
    one, rules = method_of(params(), "temporal"), params().get("tune", TuneSection)
    now = values_of(params(), one, "profiles.small.tuned")
    assert dict(now)["lr_scale"] == 3.0
    assert rates_of([], one, now, [3, 5], 2 * TOKENS, rules).start == now
    best = {"lr_scale": 4.0, "weight": 1.0}
    short = [
        trial
        for rate in RATES
        for weight in (0.0, 0.0001, 1.0)
        for trial in planted(
            {"lr_scale": rate, "weight": weight},
            explained_variance=0.9 if rate == 4.0 else 0.8,
            persistence_energy=0.5 if weight == 0 else 0.4,
        )
    ]
    space = rates_of(short, one, now, [3, 5], 2 * TOKENS, rules)
    assert dict(space.start) == best
    longer = [t for rate in RATES for t in planted(best | {"lr_scale": rate}, 2 * TOKENS)]
    state = search(space, outcomes(longer, [3, 5], 2 * TOKENS), rules)
    assert (state.done, dict(state.best)) == (True, best)
    tree = copy.deepcopy(TREE)
    tree["profiles"]["small"]["train"]["tokens"] = 2 * TOKENS
    Path("params.yaml").write_text(json.dumps(tree))
    write_trials(path_of("small"), [*short, *longer])
    write_values(Path("params.yaml"), "profiles.small.tuned", {"temporal": state.best})
    assert of_profile(params(), lambda _: CODE)["temporal"] == ""


def test_the_page_says_where_a_weight_s_cost_is_not_known(here: Path) -> None:
    for met in (True, False):
        rows = [
            trial
            for rate in RATES
            for weight in (0.0, 0.0001, 1.0)
            for trial in planted({"lr_scale": rate, "weight": weight}, on_target=met or weight > 0)
        ]
        write_trials(path_of("small"), rows)
        text = write_page(ground().bed, params(), sweep().rules, [3, 5]).read_text()
        assert ("At 640 tokens `weight` 0 diverged or missed its L0" in text) is not met


def test_without_a_record_nothing_was_tuned(here: Path) -> None:
    assert of_profile(params(), lambda _: CODE) == {"topk": NEVER, "temporal": NEVER}

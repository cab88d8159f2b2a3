"""Intervals of differences: do they hold the truth as often as they say, over new seeds and new items?"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import ttest_1samp, ttest_rel

from pipeline.compare.paired.estimate import Estimate
from pipeline.compare.paired.variance import Table, Values, noise
from pipeline.compare.paired.verdict import holm

TRIALS, RESAMPLES = 250, 150


@dataclass(frozen=True)
class World:
    """K methods on S seeds and N items; standard deviations of what the score of one item is made of."""

    methods: int = 6
    seeds: int = 2
    items: int = 60
    training: float | tuple[float, ...] = 0.1  # of a trained SAE, the same at every item
    source: float = 0.0  # of a seed, the same for every method
    item: float = 1.0  # difficulty, the same for every method
    method_item: float = 1.0  # a method's own difficulty of an item
    rest: float = 0.5  # what one trained SAE makes of one item

    def draw(self, rng: np.random.Generator) -> list[Values]:
        """The cells of one study in which no method is better than another."""
        k, s, n = self.methods, self.seeds, self.items
        score = (
            rng.normal(size=(k, s, 1)) * np.reshape(self.training, (-1, 1, 1))
            + rng.normal(size=(1, s, 1)) * self.source
            + rng.normal(size=(1, 1, n)) * self.item
            + rng.normal(size=(k, 1, n)) * self.method_item
            + rng.normal(size=(k, s, n)) * self.rest
        )
        counts = rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES) / n
        draws = np.einsum("rn,ksn->krs", counts, score)
        return [Values(score[i].mean(1), draws[i], n) for i in range(k)]


@dataclass
class Rates:
    """Shares over all trials."""

    covered: float
    called: float
    families: float
    value_covered: float


def rates(world: World, trials: int = TRIALS) -> Rates:
    rng = np.random.default_rng(0)
    covered, called, families, values = [], [], [], []
    for _ in range(trials):
        cells = world.draw(rng)
        table = Table.of(cells)
        found = [table.difference(a, b) for a, b in combinations(range(len(cells)), 2)]
        covered += [each.low <= 0 <= each.high for each in found]
        p = [each.p() for each in found]
        called += [each < 0.05 for each in p]
        families.append(holm(np.array(p)).min() < 0.05)
        own = [table.mean(place) for place in range(len(cells))]
        values += [each.low <= 0 <= each.high for each in own]
    return Rates(*(float(np.mean(each)) for each in (covered, called, families, values)))


WORLDS = {
    "training noise only": World(method_item=0, rest=0),
    "item noise only": World(training=0, rest=0),
    "both": World(),
    "items that each SAE sees its own way": World(training=0.02, method_item=0.2, rest=1),
    "three seeds": World(seeds=3),
    "five seeds": World(seeds=5),
    "two methods": World(methods=2),
}


@pytest.mark.parametrize("name", list(WORLDS))
def test_intervals_cover_and_true_nulls_are_rarely_called_different(name: str) -> None:
    found = rates(WORLDS[name])
    assert 0.93 <= found.covered <= 0.98
    assert found.called == pytest.approx(1 - found.covered, abs=1e-9)
    assert found.families <= 0.08  # 5 % and twice the simulation's error
    assert 0.92 <= found.value_covered <= 0.985


def test_a_seed_that_moves_all_methods_cancels_in_differences() -> None:
    """Ground truth: another source per seed, the same for every method."""
    still, moved = (rates(World(source=source, item=0, method_item=0, rest=0)) for source in (0.0, 3.0))
    assert 0.93 <= moved.covered <= 0.98
    assert moved.covered == pytest.approx(still.covered, abs=0.02)


def test_resampling_two_seeds_would_cover_half() -> None:
    """Why seeds are not resampled: the bootstrap of two seeds and the items, on training noise."""
    rng, covered = np.random.default_rng(1), []
    for _ in range(TRIALS):
        first, second = World(methods=2, method_item=0, rest=0).draw(rng)
        assert first.draws is not None
        assert second.draws is not None
        picked = rng.integers(0, 2, (RESAMPLES, 2))
        drawn = np.take_along_axis(first.draws - second.draws, picked, 1).mean(1)
        covered.append(np.quantile(drawn, 0.025) <= 0 <= np.quantile(drawn, 0.975))
    assert np.mean(covered) < 0.6


def test_a_difference_of_the_detectable_size_is_found_four_times_in_five() -> None:
    rng, world, found = np.random.default_rng(2), World(methods=8), []
    for _ in range(2 * TRIALS):
        cells = world.draw(rng)
        found.append(Table.of(cells).difference(0, 1))
    size = float(np.mean([each.detectable for each in found]))
    raised = [Estimate(each.value + size, each.error, each.df) for each in found]
    assert 0.75 <= np.mean([each.p() < 0.05 for each in raised]) <= 0.87


def test_two_methods_without_items_are_a_paired_t_test() -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(size=(2, 5))
    found = Table.of([Values(each) for each in values]).difference(0, 1)
    expected = ttest_rel(values[0], values[1])
    assert found.p() == pytest.approx(expected.pvalue, rel=1e-8)
    interval = expected.confidence_interval()
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-8)
    assert found.df == pytest.approx(4)


def test_the_items_share_is_the_covariance_between_seeds() -> None:
    """Against np.cov, with seeds that do not vary, so that nothing else is left."""
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(2, 400, 3)) + rng.normal(size=(2, 400, 1))
    level = np.zeros((2, 3))
    found = Table.of([Values(level[0], a, 50), Values(level[1], b, 50)]).difference(0, 1)
    between = np.cov((a - b).T)[~np.eye(3, dtype=bool)].mean()
    assert found.error**2 == pytest.approx(between * 50 / 49, rel=1e-9)
    assert found.df == pytest.approx(49)


def test_a_method_is_as_noisy_as_itself_and_the_others_together_say() -> None:
    """By hand: four methods, two seeds; the others' squares are what a method's own leaves of them all."""
    values = np.array([[0.0, 4.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    found = noise(values)
    squares = np.array([4.5, 0.5, 0.5, 0.5])  # residuals 1.5 and 0.5, at each of two seeds
    own = squares * 4 / 3
    weight = 1 / ((1 + 1 / 2) / 2 + 1 / 2)
    assert found.rows == pytest.approx((weight * (6 - own) / 2 + own) / (weight + 1))
    assert found.df == pytest.approx(weight + 1)
    assert found.common == pytest.approx(np.full(4, 0.5))  # of the seeds' means, 0 and 1
    variance, df = found.of_difference(0, 1)
    a, b = found.rows[:2]
    assert variance == pytest.approx((a + b) / 2)
    assert df == pytest.approx((a + b) ** 2 / ((a * a + b * b + 2 * a * b / 3) / found.df))


def test_many_seeds_leave_every_method_its_own_noise() -> None:
    rng = np.random.default_rng(6)
    values = rng.normal(size=(6, 400)) * np.array([[1], [1], [1], [1], [1], [6]])
    found = noise(values)
    assert found.rows[5] == pytest.approx(36 * (1 - 2 / 6 + 1 / 36) * 6 / 5, rel=0.2)
    assert found.rows[0] < 3  # the noisy method's share in the seeds' means is left
    assert found.df == pytest.approx(400, rel=0.01)


def test_tables_side_by_side_are_each_by_itself() -> None:
    values = np.random.default_rng(7).normal(size=(5, 4, 3))
    together, alone = noise(values), [noise(each) for each in values]
    assert together.rows == pytest.approx(np.stack([each.rows for each in alone]))
    variance, df = together.of_difference(np.array([0, 1]), np.array([2, 3]))
    assert variance[2, 1] == pytest.approx(alone[2].of_difference(1, 3)[0])
    assert df[2, 1] == pytest.approx(alone[2].of_difference(1, 3)[1])
    assert together.of_value(1)[0] == pytest.approx([each.of_value(1)[0] for each in alone])


def test_one_row_alone_has_the_students_interval_of_its_seeds() -> None:
    values = np.array([0.3, 0.5, 0.1])
    found = Table.of([Values(values)]).mean(0)
    interval = ttest_1samp(values, 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize("seeds", [3, 5, 8])
def test_a_mean_over_pairs_of_seeds_is_as_sure_as_its_simulation(seeds: int) -> None:
    """h(i, j) = a_i + a_j: the spread over seeds, once corrected, is that of the mean over studies."""
    own = np.random.default_rng(8).normal(size=(20000, seeds))
    others = (own.sum(1, keepdims=True) - own) / (seeds - 1)
    values = own + others
    errors = [Table.of([Values(each).of_pairs]).mean(0).error ** 2 for each in values[:2000]]
    assert np.mean(errors) == pytest.approx(values.mean(1).var(), rel=0.1)


def undefined(rows: list[Values], at: dict[tuple[int, int], slice]) -> Table:
    """The table of `rows` when these resamples leave the value of (row, seed) undefined."""
    given = []
    for place, row in enumerate(rows):
        assert row.draws is not None
        draws = row.draws.copy()
        for (which, seed), lost in at.items():
            if which == place:
                draws[lost, seed] = np.nan
        given.append(Values(row.by_seed, draws, row.items))
    return Table.of(given)


def test_undefined_resamples_are_left_out_of_the_items_share_only_where_they_are_undefined() -> None:
    rows = World(methods=3, training=0.001, rest=0).draw(np.random.default_rng(4))
    whole, seeds = Table.of(rows), Table.of([Values(row.by_seed) for row in rows])
    found = undefined(rows, {(0, 0): slice(0, 1), (1, 1): slice(1, 30)})
    less = Table.of([Values(row.by_seed, row.draws[30:], row.items) for row in rows if row.draws is not None])
    assert found.difference(0, 1) == less.difference(0, 1)
    assert found.difference(0, 1).error == pytest.approx(whole.difference(0, 1).error, rel=0.2)
    assert found.difference(0, 1).error > 3 * seeds.difference(0, 1).error
    assert found.mean(2) == whole.mean(2)


def test_without_half_of_the_resamples_nothing_is_known_and_nothing_claimed() -> None:
    rows = World(methods=3).draw(np.random.default_rng(4))
    table = undefined(rows, {(0, 0): slice(0, 50), (1, 1): slice(50, 100)})
    found = table.difference(0, 1)
    assert np.isinf(found.error)
    assert (found.p(), found.p_equal(9.0)) == (1.0, 0.5)
    assert np.isfinite([table.mean(0).error, table.mean(1).error, table.difference(0, 2).error]).all()


def test_equal_rows_without_any_noise_are_not_different() -> None:
    level = Values(np.ones(2))
    found = Table.of([level, level]).difference(0, 1)
    assert (found.low, found.high, found.p()) == (0.0, 0.0, 1.0)


def test_a_saturated_row_beside_one_that_varies_gives_no_warning() -> None:
    table = Table.of([Values(np.ones(2)), Values(np.ones(2)), Values(np.array([0.9, 0.95]))])
    assert table.difference(0, 1).value == 0
    assert table.difference(0, 1).error > 0  # what the others show may happen to it too
    assert 0 < table.difference(0, 2).p() < 1


def test_a_row_that_missed_its_target_lends_its_noise_to_no_row_that_met_it() -> None:
    rows = World(methods=4).draw(np.random.default_rng(5))
    wild = Values(100 * rows[3].by_seed, rows[3].draws, rows[3].items)
    given = [*rows[:1], wild, *rows[1:3]]  # in the middle, so that places move
    found, without = Table.of(given, [False, True, False, False]), Table.of(rows[:3])
    assert found.difference(0, 3) == without.difference(0, 2)
    assert found.mean(2) == without.mean(1)
    assert found.difference(0, 1) == Table.of(given).difference(0, 1)  # by the noise of all
    assert found.difference(0, 3).error < Table.of(given).difference(0, 3).error


@pytest.mark.parametrize("missed", [(), [False] * 3, [True] * 3])
def test_rows_that_all_met_or_all_missed_their_target_are_one_table(missed: list[bool]) -> None:
    rows = World(methods=3).draw(np.random.default_rng(6))
    found, plain = Table.of(rows, missed), Table.of(rows)
    assert found.difference(0, 1) == plain.difference(0, 1)
    assert found.mean(2) == plain.mean(2)

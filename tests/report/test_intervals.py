"""Intervals against published ones, sums by hand, and what they promise: how often they hold the truth."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plusx.report.intervals import (
    paired_interval,
    student_quantile,
    unpaired_interval,
    welch_interval,
    wilson_interval,
)

Z = 1.959963984540054


# Newcombe (1998), "Two-sided confidence intervals for the single proportion", table I, method 3.
@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_interval_equals_the_published_one(correct: int, total: int, low: float, high: float) -> None:
    assert wilson_interval(correct, total) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10**6).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_wilson_interval_holds_the_accuracy_and_mirrors(case: tuple[int, int]) -> None:
    correct, total = case
    low, high = wilson_interval(correct, total)
    assert 0 <= low <= correct / total <= high <= 1
    assert wilson_interval(total - correct, total) == pytest.approx((1 - high, 1 - low), abs=1e-9)


@pytest.mark.parametrize(("correct", "total"), [(0, 0), (-1, 5), (6, 5)])
def test_wilson_interval_refuses_impossible_counts(correct: int, total: int) -> None:
    with pytest.raises(ValueError, match=f"{correct} right out of {total}"):
        wilson_interval(correct, total)


# Newcombe (1998), "Interval estimation for the difference between independent proportions", table II, method
# 10: 56/70 − 48/80, 9/10 − 3/10, 5/56 − 0/29, 10/10 − 0/20.
@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        ((48, 80), (56, 70), 0.0524, 0.3339),
        ((3, 10), (9, 10), 0.1705, 0.8090),
        ((0, 29), (5, 56), -0.0381, 0.1926),
        ((0, 20), (10, 10), 0.6791, 1.0),
    ],
)
def test_unpaired_interval_equals_the_published_one(
    first: tuple[int, int], second: tuple[int, int], low: float, high: float
) -> None:
    assert unpaired_interval(first, second) == pytest.approx((low, high), abs=5e-5)


def test_paired_interval_equals_a_sum_by_hand() -> None:
    # 1 gained, 7 lost, 21 in all: g = 2/23, l = 8/23, variance (10/23 − 36/529)/23 = 194/12167.
    half = Z * sqrt(194 / 12_167)
    assert paired_interval(1, 7, 21) == pytest.approx((-6 / 23 - half, -6 / 23 + half))
    assert paired_interval(0, 1, 1) == (-1.0, pytest.approx(-1 / 3 + Z * sqrt((1 - 1 / 9) / 3)))


@pytest.mark.parametrize(("gained", "lost", "total"), [(-1, 0, 5), (3, 3, 5), (0, 0, 0)])
def test_paired_interval_refuses_impossible_counts(gained: int, lost: int, total: int) -> None:
    with pytest.raises(ValueError, match=f"{gained} gained and {lost} lost of {total}"):
        paired_interval(gained, lost, total)


# The tables of Student's distribution in any textbook, two-sided.
@pytest.mark.parametrize(
    ("level", "freedom", "quantile"),
    [
        *((0.95, 1, 12.706), (0.95, 2, 4.303), (0.95, 5, 2.571), (0.95, 10, 2.228), (0.95, 30, 2.042)),
        *((0.99, 1, 63.657), (0.99, 4, 4.604), (0.99, 120, 2.617), (0.9, 3, 2.353), (0.5, 1, 1.0)),
    ],
)
def test_student_s_quantiles_are_those_of_the_tables(level: float, freedom: float, quantile: float) -> None:
    assert student_quantile(level, freedom) == pytest.approx(quantile, abs=5e-4)


def test_student_s_quantile_becomes_the_normal_one() -> None:
    assert student_quantile(0.95, 1e4) == pytest.approx(Z, abs=3e-4)


def test_welch_interval_equals_a_sum_by_hand() -> None:
    # Means 2 and 6, variances 1 and 4, three values each: s²/n is 1/3 and 4/3,
    # ν = (5/3)²/((1/9 + 16/9)/2) = 50/17.
    found = welch_interval([1, 2, 3], [4, 6, 8])
    assert found is not None
    (low, high), freedom = found
    assert freedom == pytest.approx(50 / 17)
    half = student_quantile(0.95, 50 / 17) * sqrt(5 / 3)
    assert (low, high) == pytest.approx((4 - half, 4 + half))
    # Where variances and numbers are equal, ν is n₁ + n₂ − 2, and the quantile stands in the tables.
    equal = welch_interval([0, 1, 2], [5, 6, 7])
    assert equal is not None
    assert equal[0] == pytest.approx((5 - 2.776 * sqrt(2 / 3), 5 + 2.776 * sqrt(2 / 3)), abs=1e-3)


def test_welch_interval_says_nothing_without_a_spread() -> None:
    assert welch_interval([0.5, 0.5], [0.6, 0.6]) is None
    with pytest.raises(ValueError, match="two values at least, not 1 and 2"):
        welch_interval([0.5], [0.6, 0.7])


def share(held: list[bool]) -> float:
    """Of 2 000 simulated intervals, how many hold the truth; give or take 0.01 by chance."""
    return sum(held) / len(held)


@pytest.mark.parametrize(("accuracy", "pictures"), [(0.93, 200), (0.5, 40), (0.99, 1000)])
def test_wilson_interval_holds_the_truth_as_often_as_it_says(accuracy: float, pictures: int) -> None:
    draws = np.random.default_rng(0).binomial(pictures, accuracy, 2000)
    intervals = [wilson_interval(int(correct), pictures) for correct in draws]
    assert 0.93 < share([low <= accuracy <= high for low, high in intervals]) < 0.98


@pytest.mark.parametrize(("accuracies", "pictures"), [((0.9, 0.93), 200), ((0.5, 0.5), 50)])
def test_unpaired_interval_holds_the_truth_as_often_as_it_says(
    accuracies: tuple[float, float], pictures: int
) -> None:
    draws = np.random.default_rng(1).binomial(pictures, accuracies, (2000, 2)).tolist()
    intervals = [unpaired_interval((a, pictures), (b, pictures)) for a, b in draws]
    truth = accuracies[1] - accuracies[0]
    assert 0.93 < share([low <= truth <= high for low, high in intervals]) < 0.98


@pytest.mark.parametrize(
    ("gain", "loss", "pictures"), [(0.05, 0.03, 200), (0.02, 0.02, 1000), (0.1, 0.05, 50)]
)
def test_paired_interval_holds_the_truth_as_often_as_it_says_and_is_the_narrower(
    gain: float, loss: float, pictures: int
) -> None:
    cells = [gain, loss, 0.7, 0.3 - gain - loss]  # both right, both wrong: they mostly fail together
    draws = np.random.default_rng(2).multinomial(pictures, cells, 2000).tolist()
    paired = [paired_interval(gained, lost, pictures) for gained, lost, _, _ in draws]
    unpaired = [
        unpaired_interval((lost + right, pictures), (gained + right, pictures))
        for gained, lost, right, _ in draws
    ]
    assert 0.935 < share([low <= gain - loss <= high for low, high in paired]) < 0.985
    assert np.diff(paired).mean() < np.diff(unpaired).mean()


@pytest.mark.parametrize("seeds", [(3, 3), (2, 5), (5, 5)])
def test_welch_interval_holds_the_truth_as_often_as_it_says(seeds: tuple[int, int]) -> None:
    generator, held = np.random.default_rng(3), []
    for _ in range(300):  # each takes a millisecond
        first, second = generator.normal(0.93, 0.002, seeds[0]), generator.normal(0.94, 0.004, seeds[1])
        found = welch_interval(first.tolist(), second.tolist())
        assert found is not None
        held.append(found[0][0] <= 0.01 <= found[0][1])
    assert share(held) > 0.91

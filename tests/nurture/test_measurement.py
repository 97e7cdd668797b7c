"""Intervals hold what they promise: the truth, as often as they say; at all times at once where they say so."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nurture.measurement import Arm, mean_difference, uplift, wilson


def arms(people: int = 400) -> st.SearchStrategy[Arm]:
    return st.integers(1, people).flatmap(lambda n: st.integers(0, n).map(lambda s: Arm(n, s)))


def test_the_interval_is_the_published_one() -> None:
    found = uplift(Arm(70, 56), Arm(80, 48))  # Newcombe 1998, table II, row (a), method 10
    assert found is not None
    assert (round(found.low, 4), round(found.high, 4)) == (0.0524, 0.3339)


@given(arms(), arms())
def test_the_difference_is_inside_its_intervals_and_they_turn_with_the_sides(one: Arm, other: Arm) -> None:
    there, back = uplift(one, other), uplift(other, one)
    assert there is not None
    assert back is not None
    assert -1 <= there.low <= there.difference <= there.high <= 1
    assert math.isclose(there.low, -back.high, abs_tol=1e-12)
    assert math.isclose(there.always_low, -back.always_high, abs_tol=1e-12)


@given(arms())
def test_a_share_is_inside_its_interval(arm: Arm) -> None:
    low, high = wilson(arm, 1.96)
    assert 0 <= low <= arm.share + 1e-12
    assert arm.share - 1e-12 <= high <= 1


def test_an_empty_side_proves_nothing() -> None:
    assert uplift(Arm(0, 0), Arm(10, 3)) is None


def test_looking_every_day_decides_wrongly_no_more_often_than_promised() -> None:
    """A thousand comparisons in which nothing helps, each looked at a hundred times."""
    rng = np.random.default_rng(11)
    wrong = fixed = 0
    for _ in range(1000):
        treated, kept = (rng.binomial(20, 0.1, 100).cumsum() for _ in range(2))
        looks = [uplift(Arm(20 * n, int(treated[n - 1])), Arm(20 * n, int(kept[n - 1]))) for n in range(5, 101)]
        wrong += any(look is not None and look.decided for look in looks)
        fixed += any(look is not None and (look.low > 0 or look.high < 0) for look in looks)
    assert wrong / 1000 <= 0.05
    assert fixed / 1000 > 0.15  # what looking every day does to the interval for one look


def test_a_real_difference_is_found_and_held() -> None:
    rng = np.random.default_rng(5)
    held = decided = 0
    for _ in range(400):
        found = uplift(Arm(4500, int(rng.binomial(4500, 0.16))), Arm(500, int(rng.binomial(500, 0.08))))
        assert found is not None
        held += found.low <= 0.08 <= found.high
        decided += found.decided
    assert held / 400 >= 0.92
    assert decided / 400 > 0.9


@given(
    st.lists(st.floats(0.01, 1e4), max_size=20), st.integers(20, 60), st.lists(st.floats(0.01, 1e4), max_size=20),
    st.integers(20, 60),
)  # fmt: skip
def test_money_per_person_counts_those_who_bought_nothing(a: list[float], n: int, b: list[float], m: int) -> None:
    found = mean_difference(a, n, b, m)
    assert found is not None
    full, other = np.array(a + [0.0] * (n - len(a))), np.array(b + [0.0] * (m - len(b)))
    half = 1.959964 * math.sqrt(full.var(ddof=1) / n + other.var(ddof=1) / m)
    assert found[1] == pytest.approx(full.mean() - other.mean(), abs=1e-6)
    assert found[2] - found[1] == pytest.approx(half, rel=1e-5, abs=1e-6)

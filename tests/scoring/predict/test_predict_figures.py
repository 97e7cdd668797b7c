"""Figures beside the truth: worked out by hand, and on probabilities known to be right, too bold and too timid."""

import numpy as np
import pytest

from scoring.predict.figures import average_precision, brier, calibration


def test_average_precision_is_the_mean_share_of_hits_at_each_hit_and_equals_are_met_at_once() -> None:
    assert average_precision([4, 3, 2, 1], [True, False, True, False]) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision([7, 7, 7, 7], [True, False, False, False]) == 0.25
    assert average_precision([2, 2, 1], [True, False, True]) == pytest.approx((1 / 2 + 2 / 3) / 2)
    with pytest.raises(ValueError, match="nobody"):
        average_precision([1.0], [False])


def test_brier_is_the_mean_square_of_the_error() -> None:
    assert brier(np.array([1.0, 0.0, 0.5]), np.array([True, False, True])) == pytest.approx(0.25 / 3)


@pytest.mark.parametrize(("said", "slope"), [(1.0, 1.0), (2.0, 0.5), (0.5, 2.0)])
def test_the_slope_tells_right_from_bold_and_timid(said: float, slope: float) -> None:
    rng = np.random.default_rng(11)
    odds = rng.normal(-1.5, 1.2, 20_000)
    became = rng.random(len(odds)) < 1 / (1 + np.exp(-odds))
    found = calibration(1 / (1 + np.exp(-said * odds)), became)
    assert found.slope is not None
    assert found.interval is not None
    assert found.slope == pytest.approx(slope, rel=0.06)
    assert found.interval[0] < slope < found.interval[1]
    assert (sum(tenth.people for tenth in found.tenths), found.came) == (len(odds), int(became.sum()))
    assert sum(tenth.came for tenth in found.tenths) == found.came
    if said == 1:
        assert all(abs(tenth.expected - tenth.came) < 4 * np.sqrt(tenth.expected) for tenth in found.tenths)


@pytest.mark.parametrize("became", [[False] * 30, [True] * 15 + [False] * 15])
def test_where_nothing_can_be_told_the_slope_is_missing(became: list[bool]) -> None:
    probability = np.linspace(0.9, 0.1, 30)
    found = calibration(probability, np.array(became))
    assert (found.slope, found.interval) == (None, None)
    assert calibration(np.full(30, 0.3), np.arange(30) < 9).slope is None

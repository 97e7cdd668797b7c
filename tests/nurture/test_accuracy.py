"""How well a score ranks, and how surely: the truth as often as promised, and no guess on few."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nurture.accuracy import FEW, auc_interval, promise, ranking


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=40, max_size=120))
def test_the_area_is_the_share_of_pairs_in_the_right_order(people: list[tuple[int, bool]]) -> None:
    scores, won = [score for score, _ in people], [won for _, won in people]
    found = ranking(scores, won)
    ups, downs = ([score for score, one in people if one is side] for side in (True, False))
    if len(ups) < FEW or len(downs) < FEW:
        assert (found.auc, found.interval, found.tenths) == (None, None, ())
        return
    pairs = [(up > down) + (up == down) / 2 for up in ups for down in downs]
    assert found.auc == pytest.approx(sum(pairs) / len(pairs))
    assert found.auc is not None
    assert found.interval is not None
    assert 0 <= found.interval[0] <= found.auc + 1e-9
    assert found.auc - 1e-9 <= found.interval[1] <= 1
    assert sum(tenth.people.people for tenth in found.tenths) == len(people)
    assert sum(tenth.people.successes for tenth in found.tenths) == sum(won)
    ends = [end for tenth in found.tenths for end in (tenth.highest, tenth.lowest)]
    assert ends == sorted(ends, reverse=True)  # from the highest down
    assert all(one.lowest > other.highest for one, other in zip(found.tenths, found.tenths[1:], strict=False))


@pytest.mark.parametrize(("shift", "area"), [(0.0, 0.5), (1.0, 0.760), (2.0, 0.921)])
def test_the_interval_holds_the_truth_as_often_as_it_says(shift: float, area: float) -> None:
    """Normal scores, a fifth of 150 people successful and so much higher; the true area is known."""
    rng, held = np.random.default_rng(8), 0
    for _ in range(600):
        won = rng.random(150) < 0.2
        found = ranking((rng.normal(size=150) + shift * won).tolist(), won.tolist())
        assert found.interval is not None
        held += found.interval[0] <= area <= found.interval[1]
    assert 0.92 <= held / 600 <= 0.985


def test_a_perfect_ranking_is_no_certainty() -> None:
    found = ranking([*range(10), *range(50, 60)], [False] * 10 + [True] * 10)
    assert found.auc == 1.0
    assert found.interval is not None
    assert 0.6 < found.interval[0] < 0.95
    assert found.interval[1] == 1.0
    narrow = auc_interval(1.0, 1000, 1000, 1.96)
    assert found.interval[0] < narrow[0] < 1


def test_months_are_promised_what_the_same_scores_did_before() -> None:
    earlier = [([5] * 1000 + [95] * 1000, [False] * 950 + [True] * 50 + [True] * 400 + [False] * 600)]
    found = promise(earlier, ([5] * 100 + [95] * 100, [True] * 45 + [False] * 155))
    assert (found.people, found.came) == (200, 45)
    assert found.promised == pytest.approx(5 + 40, abs=0.7)

"""What a fault led to is told at the end of a run, and fails its test when somebody was harmed."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.helpers.tally import Tally, lines


@pytest.mark.parametrize("harm", ["lost", "duplicate", "wrong"])
def test_a_fault_that_harmed_somebody_fails_its_test_and_is_told_all_the_same(harm: str) -> None:
    told: list[tuple[str, object]] = []
    counts: dict[str, Any] = {harm: 2}
    with pytest.raises(AssertionError, match=f"'{harm}': 2"):
        Tally(lambda name, found: told.append((name, found)))(4, trials=20, **counts)
    report = SimpleNamespace(nodeid="tests/it.py::test_it[sqlite]", user_properties=told)
    assert f"{harm} 2" in list(lines([report]))[1]


def test_the_figures_of_a_run_stand_together_by_fault_with_versions_and_seed() -> None:
    told: list[tuple[str, object]] = []
    tally = Tally(lambda name, found: told.append((name, found)))
    tally(22, trials=3, recover=[0.5, 2.0, 1.0], uncertain=1, seed=7)
    tally(1, trials=300)
    report = SimpleNamespace(nodeid="tests/it.py::test_it", user_properties=[*told, ("other", 1)])
    versions, first, second = lines([report])
    assert versions.startswith("leadbridge ")
    assert first == " 1  300 trials: lost 0, duplicate 0, wrong 0, uncertain 0  test_it"
    assert "uncertain 1, recover p50 1.00 s, p95 2.00 s, max 2.00 s, seed 7" in second
    assert list(lines([])) == []


def test_a_test_that_tried_nothing_shows_nothing() -> None:
    with pytest.raises(AssertionError, match="nothing was tried"):
        Tally(lambda _name, _found: None)(4, trials=0)

"""The benchmark of the door measures what it says: what was acknowledged under load is there, all of it."""

import pytest

from benchmarks import webhook


@pytest.mark.slow
def test_nothing_acknowledged_under_load_is_lost_and_both_sides_are_told() -> None:
    with webhook.stores(["sqlite"]) as urls:
        found = webhook.compare(urls["sqlite"], rounds=2, size=200, connections=16)
    assert (found["events_acknowledged"], found["events_lost"]) == (10 * (2 * 200 + 50), 0)
    assert found["ratio"] > 0
    assert found["p99_ratio"] > 0

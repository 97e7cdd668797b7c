"""Nothing is lost and nothing done twice while processes die: short forms of the benchmark (G1, G3, G10, G19)."""

from typing import Any

import pytest

from benchmarks import lossless
from tests.helpers.databases import NoPostgres
from tests.helpers.queues import NoRedis

SEED = 20261128


def figures(shape: str, events: int, people: int) -> dict[str, Any]:
    try:
        return lossless.measure(shape, events, people, SEED)
    except (NoPostgres, NoRedis) as missing:
        pytest.skip(str(missing))


@pytest.mark.slow
def test_embedded_nothing_is_lost_doubled_or_wrong_while_the_process_dies_seven_times() -> None:
    found = figures("embedded", 300, 20)
    assert (found["lost"], found["duplicate"], found["wrong"]) == (0, 0, 0), found
    assert found["repeated"] > 0
    assert found["entered"] > 0


@pytest.mark.slow
def test_scaled_nothing_is_lost_doubled_or_wrong_while_receivers_and_workers_die() -> None:
    found = figures("scaled", 1_000, 40)
    assert (found["lost"], found["duplicate"], found["wrong"]) == (0, 0, 0), found
    assert found["tries"] >= found["deliveries"]

"""What is left of a vendor's day to leadbridge is known, shown, and asked before a run (requirement N9, pattern 13)."""

import io
from collections.abc import Iterator

import pytest

from leadbridge.store.engine import Store
from sync import day, figures
from sync.forecast import forecast
from tests.helpers.syncing import Stage, stage
from tests.webhooks.conftest import on_sqlite

pytestmark = on_sqlite


@pytest.fixture
def made(store: Store) -> Iterator[Stage]:
    with stage(store) as found:
        found.sandbox.hubspot.settings.daily_limit = 1000
        yield found


def test_the_calls_of_the_day_are_told_as_the_vendor_counts_them(made: Stage) -> None:
    made.lead()
    made.sync()
    used = made.calls() - made.calls("lists.") - made.calls("members.")
    found = figures.read(made.store, made.config).day["hubspot"]
    assert found["limit"] == 1000
    assert 0 < found["used"] <= used
    assert found["left"] == 800 - found["used"]  # a fifth is left to humans


def test_a_run_that_does_not_fit_into_the_day_says_so_before_it_starts(made: Stage, log: io.StringIO) -> None:
    for _ in range(3):
        made.lead()
    made.until_scored()  # the writes wait
    (crm,) = made.parts.crms
    known = crm.day()
    assert known is not None
    assert day.short({"hubspot": known}, {"hubspot": 1}) == {}
    made.sandbox.hubspot.settings.daily_limit = known.used + 2
    crm.account()  # this answer tells
    day.note(made.store, made.parts.crms)

    found = forecast(made.store, made.parts.scorer, made.parts.crms)
    assert (found.calls, found.left, found.too_many) == ({"hubspot": 1}, {"hubspot": 0}, {"hubspot": 1})
    day.say_what_does_not_fit(made.store, made.parts.crms)
    assert "writes do not fit into the day's calls" in log.getvalue()

"""What is left of a vendor's day to leadbridge is known, shown, and asked before a run (requirement N9, pattern 13)."""

import io
from collections.abc import Iterator

import pytest

from leadbridge.store.engine import Store
from sync import day, figures
from sync.ahead import Ahead, ahead
from sync.forecast import forecast
from sync.preview import preview
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

    cost = forecast(made.store, made.parts.scorer, made.parts.crms).cost
    assert (cost.calls, cost.left, cost.too_many) == ({"hubspot": 1}, {"hubspot": 0}, {"hubspot": 1})
    day.say_what_does_not_fit(made.store, made.parts.crms)
    assert "writes do not fit into the day's calls" in log.getvalue()


def test_what_the_first_run_costs_is_told_before_it_and_afterwards_what_waits(made: Stage) -> None:
    for _ in range(205):
        made.lead()
    (crm,) = made.parts.crms
    (first,) = ahead(made.store, [crm])
    told = crm.day()
    assert told is not None
    assert first == Ahead("hubspot", to_read=205, to_write=205, calls=3 + 3, left=told.left)
    made.until_scored()
    (then,) = ahead(made.store, [crm])
    assert (then.to_read, then.to_write, then.calls) == (0, 205, 3)
    made.act()
    (after,) = ahead(made.store, [crm])
    assert (after.to_read, after.to_write, after.calls) == (0, 0, 0)
    assert Ahead("hubspot", to_read=None, to_write=900, calls=9, left=4).too_many == 5


def test_a_dry_run_tells_what_writing_would_cost(made: Stage) -> None:
    for _ in range(101):
        made.lead()
    cost = preview(made.parts).cost
    assert (cost.calls["hubspot"], dict(cost.too_many)) == (2, {})
    assert cost.left.keys() == {"hubspot"}

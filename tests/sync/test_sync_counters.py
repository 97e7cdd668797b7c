"""Numbers a CRM only counts up become activities by difference, marked as such, and nothing counts twice."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from connectors.hubspot.counters import COUNTERS, SOURCE, counted
from connectors.hubspot.mapping import contact_ref
from leadbridge.store import tables
from leadbridge.types import ActivityKind, Lead
from tests.helpers.syncing import Stage

VIEWS, CLICKS = "hs_analytics_num_page_views", "hs_social_linkedin_clicks"


def told(made: Stage) -> list[tuple[str, int]]:
    """Kind and count of what was counted, oldest first."""
    with made.store.reading() as tx:
        rows = tx.execute(select(tables.activities).where(tables.activities.c.source == SOURCE)).all()
    return [(row.kind, row.attributes["count"]) for row in sorted(rows, key=lambda row: row.id)]


def test_the_first_reading_is_where_counting_begins_and_later_ones_tell_the_difference(made: Stage) -> None:
    record = made.lead()
    made.sandbox.hubspot.track(record, {CLICKS: "4"})
    made.sync()
    assert told(made) == []
    for number in ("4", "7", "7", "9"):
        made.sandbox.hubspot.track(record, {CLICKS: number})
        made.sync()
    assert told(made) == [("social_clicked", 3), ("social_clicked", 2)]


def test_a_webhook_and_a_pull_tell_of_one_difference_once(made: Stage) -> None:
    record = made.lead()
    made.sync()
    made.sandbox.hubspot.track(record, {CLICKS: "2"})
    made.event({"subscriptionType": "contact.propertyChange", "objectId": int(record)})
    made.act()
    made.sync()
    assert told(made) == [("social_clicked", 2)]


@pytest.mark.parametrize("enterprise", [True, False])
def test_page_views_are_counted_only_where_no_source_tells_of_each(made: Stage, enterprise: bool) -> None:
    assert made.config.connections.hubspot is not None
    made.config.connections.hubspot.activities.append("events")
    made.parts = made.worker("w2")
    made.sandbox.hubspot.settings.enterprise = enterprise
    record = made.lead()
    made.sync()
    for number in ("1", "6"):
        made.sandbox.hubspot.track(record, {VIEWS: number})
        made.sync()
    assert told(made) == ([] if enterprise else [("page_view", 1), ("page_view", 5)])


# --- the arithmetic --------------------------------------------------------------------------------------------------

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def lead(**counters: str) -> Lead:
    return Lead(contact_ref("51"), None, {}, NOW, counters=counters)


@given(st.lists(st.integers(0, 50), min_size=2, max_size=8))
def test_however_a_counter_goes_up_its_differences_add_up_to_all_of_it(steps: list[int]) -> None:
    numbers = [sum(steps[: n + 1]) for n in range(len(steps))]
    readings: list[dict[str, Any]] = [{CLICKS: str(number)} for number in numbers]
    found = [one for before, after in pairwise(readings) for one in counted(lead(**after), before, ())]
    assert sum(int(one.attributes["count"]) for one in found) == numbers[-1] - numbers[0]
    assert len({one.source_id for one in found}) == len(found)
    assert all(one.attributes["counted"] is True for one in found)


def test_a_counter_that_goes_back_or_cannot_be_read_tells_nothing() -> None:
    for before, after in (("9", "3"), ("many", ""), ("3", "many"), ("0", "0")):
        assert counted(lead(**{CLICKS: after}), {CLICKS: before}, ()) == []


def test_it_is_dated_by_the_last_of_them_and_never_ahead_of_the_record() -> None:
    last = NOW - timedelta(hours=5)
    for given_, dated in ((last.isoformat(), last), ((NOW + timedelta(days=1)).isoformat(), NOW), ("", NOW)):
        (one,) = counted(lead(**{CLICKS: "5", "hs_social_last_engagement": given_}), {CLICKS: "2"}, ())
        assert one.at == dated


def test_every_counter_stands_down_where_its_source_tells() -> None:
    for name, counter in COUNTERS.items():
        told_by = [counter.told_by] if counter.told_by else []
        found = counted(lead(**{name: "5"}), {name: "2"}, told_by)
        assert bool(found) is not bool(told_by)
        assert all(isinstance(one.kind, ActivityKind) for one in found)

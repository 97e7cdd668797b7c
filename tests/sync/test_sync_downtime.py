"""After a while without workers everything is read at once; idle rounds cost next to nothing (reliability G13, G27)."""

from collections import Counter
from datetime import timedelta
from typing import get_args

import pytest

from leadbridge import clock
from leadbridge.config.connections import HubSpotSource
from leadbridge.store import gaps, inbox, quarantine, watermarks
from leadbridge.store.engine import Store
from leadbridge.store.tables import records
from sync import downtime, pull, retention
from sync.worker import Rounds
from tests.helpers.syncing import Moving, Stage, journey, moving, stage
from tests.webhooks.conftest import on_sqlite


def rounds(made: Stage) -> Rounds:
    return Rounds(made.parts, rung=lambda: False)


@on_sqlite
def test_a_short_pause_is_no_gap_and_a_long_one_is_closed_by_reading(store: Store) -> None:
    with stage(store, journey()) as made, moving(made) as time:
        made.lead()
        rounds(made).pull()
        rounds(made).work()
        time.on(minutes=20)
        rounds(made).work()
        assert not pull.gap(store, ["hubspot", "mailchimp"])
        time.on(hours=2)
        rounds(made).work()
        assert pull.gap(store, ["hubspot"])
        assert pull.gap(store, ["mailchimp"])
        time.on(minutes=1)
        rounds(made).pull(every=300)
        assert not pull.gap(store, ["hubspot", "mailchimp"])


@on_sqlite
def test_after_days_without_workers_every_record_is_compared(store: Store) -> None:
    with stage(store, journey()) as made, moving(made) as time:
        record = made.lead()
        made.lead()
        rounds(made).pull()
        time.on(days=2)
        made.sandbox.hubspot.gdpr_delete(record)
        rounds(made).pull()
        with store.reading() as tx:
            gone = {row.record_id for row in tx.execute(records.select()) if row.gone_at is not None}
        assert gone == {record}


AHEAD = pytest.mark.parametrize("ahead", [timedelta(hours=26), timedelta(days=400)], ids=["a day", "a year"])
"""How far the clock was ahead for a while, until somebody put it right."""


@AHEAD
def test_after_the_clock_was_ahead_gaps_are_closed_downtime_is_noticed_and_records_are_compared(
    store: Store, ahead: timedelta
) -> None:
    """What was noted meanwhile lies in the future: waiting for it would be waiting for as long (G13)."""
    with stage(store, journey()) as made, moving(made) as time:
        record = made.lead()
        rounds(made).pull()
        right = time.at
        time.on(seconds=ahead.total_seconds())
        rounds(made).pull()
        rounds(made).work()
        time.at = right
        made.sandbox.world.clock.set(right)
        for _ in range(2):
            time.on(minutes=2)
            rounds(made).work()
            rounds(made).pull(every=300)
        assert not pull.gap(store, ["hubspot", "mailchimp"])
        calls = made.calls("contacts."), made.calls("members.")
        time.on(minutes=2)
        rounds(made).pull(every=300)
        assert (
            made.calls("contacts."),
            made.calls("members."),
        ) == calls  # and nothing is read over and over until then
        time.on(hours=2)
        rounds(made).work()
        assert pull.gap(store, ["hubspot"])
        rounds(made).pull(every=300)
        made.sandbox.hubspot.gdpr_delete(record)
        for _ in range(9):
            time.on(days=1)
            rounds(made).pull()
        with store.reading() as tx:
            assert [row.gone_at is not None for row in tx.execute(records.select())] == [True]


def test_a_gap_marked_after_the_clock_was_put_back_is_one(store: Store) -> None:
    with stage(store) as made, moving(made) as time:
        made.lead()
        rounds(made).pull()
        time.at -= timedelta(hours=3)
        with store.writing() as tx:
            gaps.mark(tx, "hubspot", "refused", clock.now())
        assert pull.gap(store, ["hubspot"])
        for _ in range(2):  # the first notices that the clock was put back, and marks it too
            time.on(seconds=1)
            rounds(made).pull(every=300)
        assert not pull.gap(store, ["hubspot"])


@AHEAD
def test_a_clock_that_jumps_ahead_makes_nothing_old_and_opens_no_window(store: Store, ahead: timedelta) -> None:
    """A key that was forgotten would let its event in once more when the clock is put right (G5)."""
    right = clock.now()
    with store.writing() as tx:
        inbox.keep(tx, store.vault, "hubspot", [("key", b"{}")], right)
        inbox.done(tx, inbox.claim_events(tx, store.vault, limit=1, owner="w"), right)
        quarantine.put(tx, store.vault, "inbox:hubspot", "why", b"raw", right, "a")
    retention.purge_daily(store)
    try:
        clock.set_source(lambda: right + ahead)
        retention.purge_daily(store)
    finally:
        clock.set_source(None)
    with store.writing() as tx:
        assert inbox.keep(tx, store.vault, "hubspot", [("key", b"{}")], right).repeated == 1
        assert quarantine.count(tx) == 1
    retention.purge_daily(store)
    with store.reading() as tx:
        last = watermarks.reached_at(tx, "leadbridge", "purged")
    assert last is not None
    assert last < right + timedelta(hours=1)  # and goes on daily


def asked_while_nothing_changes(made: Stage, time: Moving, cycles: int) -> Counter[str]:
    """The calls of so many idle cycles, once everything is written and enrolled, and no overlap holds any of it."""
    worker = rounds(made)
    for _ in range(3):
        worker.pull()
        worker.work()
        time.on(minutes=10)
    for _ in range(2):
        worker.pull()
        worker.work()
        time.on(minutes=5)
    before = made.calls()
    for _ in range(cycles):
        worker.pull()
        worker.work()
        time.on(minutes=5)
    return Counter(call.operation for call in list(made.sandbox.world.journal)[before:])


@on_sqlite
def test_an_idle_cycle_asks_once_for_changes_of_each_kind_and_writes_nothing(store: Store) -> None:
    with stage(store, journey()) as made, moving(made) as time:
        for _ in range(250):  # a hundred and more records with one stamp, which is the newest there is
            made.lead()
        asked = asked_while_nothing_changes(made, time, 6)
        assert asked == {"contacts.search": 6, "members.list": 12}  # two ways of having left


@on_sqlite
def test_an_idle_cycle_asks_each_source_of_activity_once(store: Store) -> None:
    with stage(store, journey(), hubspot={"activities": list(get_args(HubSpotSource))}) as made, moving(made) as time:
        made.lead()
        kinds = {"meetings", "calls", "emails", "communications", "tasks", "notes", "deals", "tickets", "contacts"}
        asked = asked_while_nothing_changes(made, time, 4)
        assert asked.pop("events.list") == 4 * 2  # types of events
        assert asked == {
            **{f"{kind}.search": 4 for kind in kinds},
            **dict.fromkeys(("events.types", "forms.list", "email.events", "pipelines.list"), 4),
            "members.list": 8,
        }


def test_what_was_set_aside_goes_after_fourteen_days_and_once_a_day(store: Store) -> None:
    now = clock.now()
    with store.writing() as tx:
        quarantine.put(tx, store.vault, "inbox:hubspot", "old", b"raw", now - timedelta(days=15), "a")
        quarantine.put(tx, store.vault, "inbox:hubspot", "young", b"raw", now - timedelta(days=13), "b")
        inbox.keep(tx, store.vault, "hubspot", [("waits", b"{}")], now - timedelta(days=20))
    retention.purge_daily(store)
    with store.writing() as tx:
        assert [item.reason for item in quarantine.listing(tx)] == ["young"]
        assert inbox.pending(tx) == 1  # what was never worked is not lost
        quarantine.put(tx, store.vault, "inbox:hubspot", "old", b"raw", now - timedelta(days=15), "c")
    retention.purge_daily(store)
    with store.reading() as tx:
        assert quarantine.count(tx) == 2
    assert downtime.SILENT < downtime.LOST

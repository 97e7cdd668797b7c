"""After a while without workers everything is read at once; idle rounds cost next to nothing (reliability G13, G27)."""

from datetime import timedelta

from leadbridge import clock
from leadbridge.store import inbox, quarantine
from leadbridge.store.engine import Store
from leadbridge.store.tables import records
from sync import downtime, pull, retention
from sync.worker import Rounds
from tests.helpers.syncing import Stage, journey, moving, stage
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


@on_sqlite
def test_an_idle_cycle_asks_once_for_changes_of_each_kind_and_writes_nothing(store: Store) -> None:
    with stage(store, journey()) as made, moving(made) as time:
        for _ in range(5):
            made.lead()
        worker = rounds(made)
        for _ in range(3):  # until everything is written and enrolled
            worker.pull()
            worker.work()
            time.on(minutes=10)
        before = made.calls()
        cycles = 6
        for _ in range(cycles):
            time.on(minutes=5)
            worker.pull()
            worker.work()
        asked = [call.operation for call in list(made.sandbox.world.journal)[before:]]
        most = {"contacts.search": 1, "contacts.batch.read": 1, "members.list": 2}  # two ways of having left
        assert {name: asked.count(name) / cycles for name in set(asked)}.items() <= most.items()


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

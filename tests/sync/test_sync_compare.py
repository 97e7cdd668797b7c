"""Whoever left the CRM without a word is noticed, at the least cost (reliability G12, G13)."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from connectors.base import Crm, EmailPlatform
from connectors.readonly import READS
from leadbridge import clock
from leadbridge.store import leads, watermarks
from leadbridge.store.engine import Store
from leadbridge.types import RecordRef
from sync import compare, pull
from sync.preview import preview
from tests.helpers.syncing import Moving, Stage, stage

READ = "contacts.batch.read"


@pytest.fixture
def made(store: Store) -> Iterator[Stage]:
    with stage(store) as made:
        made.apply()
        yield made


def is_gone(store: Store, ref: RecordRef) -> bool:
    with store.reading() as tx:
        person = leads.people_by_key(tx, [ref.key])[ref.key]
        (record,) = leads.records_of(tx, [person], gone=True)[person]
    return record.gone_at is not None


def contact(record_id: str) -> RecordRef:
    return RecordRef("hubspot", "contact", record_id)


def purge(made: Stage, record_id: str) -> None:
    """Erased for good: in no list of HubSpot's, and nobody tells us."""
    made.sandbox.hubspot.gdpr_delete(record_id)


def test_who_was_purged_without_a_word_is_noticed_within_eight_days(made: Stage, store: Store, time: Moving) -> None:
    stays, goes = made.lead(), made.lead()
    made.sync()
    purge(made, goes)
    for _ in range(9):
        time.on(days=1)
        pull.pull(store, made.parts.crms, None)
    assert is_gone(store, contact(goes))
    assert not is_gone(store, contact(stays))


def test_a_full_pull_asks_for_what_it_did_not_bring_and_for_nothing_else(made: Stage, store: Store) -> None:
    made.lead()
    goes = made.lead()
    made.sync()
    purge(made, goes)
    before = made.calls(READ)
    pull.pull(store, made.parts.crms, None, full=True)
    assert is_gone(store, contact(goes))
    assert made.calls(READ) - before == 1
    pull.pull(store, made.parts.crms, None, full=True)
    assert made.calls(READ) - before == 1  # nobody is missing any more


def settled(made: Stage, store: Store, time: Moving) -> None:
    """A lead that no pull of changes reads again, because a later one is the newest."""
    made.lead()
    made.sync()
    time.on(hours=1)
    made.lead()
    pull.pull(store, made.parts.crms, None)
    time.on(hours=1)


def test_a_record_read_within_the_week_is_not_asked_for(made: Stage, store: Store, time: Moving) -> None:
    settled(made, store, time)
    asked: list[int] = []
    for _ in range(6):
        time.on(days=1)
        asked.append(pull.pull(store, made.parts.crms, None).compared)
    assert asked == [0] * 6
    time.on(days=1)
    assert pull.pull(store, made.parts.crms, None).compared == 1


def test_a_comparison_killed_half_way_goes_on_where_it_stood(
    made: Stage, store: Store, time: Moving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "PAGE", 2)
    known = [made.lead() for _ in range(5)]
    made.sync()
    purge(made, known[-1])
    time.on(days=1)
    with store.writing() as tx:
        compare.ask_for(tx, "hubspot", clock.now())
    before = made.calls(READ)

    class Killed(Exception):
        pass

    def kill(what: str, count: int) -> None:
        if what == "compared":
            raise Killed

    with pytest.raises(Killed):
        pull.pull(store, made.parts.crms, None, tell=kill)
    pull.pull(store, made.parts.crms, None)
    assert is_gone(store, contact(known[-1]))
    assert made.calls(READ) - before == 3  # two, two and one: nobody twice
    with store.reading() as tx:
        held = watermarks.progress(tx, "hubspot", compare.COMPARED)
    assert held is not None
    assert "asked" not in held


def test_a_dry_run_reads_what_the_crm_counts(made: Stage, time: Moving) -> None:
    who = made.lead(hs_analytics_num_page_views="3")
    made.sync()
    made.sandbox.hubspot.track(who, {"hs_analytics_num_page_views": "7"})
    time.on(hours=1)
    assert preview(made.parts).people >= 1


def test_every_method_of_a_room_is_known_to_read_or_to_change_something() -> None:
    changing = {"write", "write_many", "create", "create_tasks", "enrol", "leave", "add_member"}
    methods = {name for contract in (Crm, EmailPlatform) for name in vars(contract) if not name.startswith("_")}
    assert methods - READS == changing


def test_what_is_asked_for_while_a_comparison_runs_is_not_forgotten(made: Stage, store: Store, time: Moving) -> None:
    settled(made, store, time)
    with store.writing() as tx:
        compare.ask_for(tx, "hubspot", clock.now())
    later = clock.now() + timedelta(minutes=1)

    def ask(what: str, count: int) -> None:
        if what == "compared":
            with store.writing() as tx:
                compare.ask_for(tx, "hubspot", later)

    pull.pull(store, made.parts.crms, None, tell=ask)
    with store.reading() as tx:
        held = watermarks.progress(tx, "hubspot", compare.COMPARED) or {}
    assert held["asked"] == later.isoformat()

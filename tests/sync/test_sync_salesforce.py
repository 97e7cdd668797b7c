"""The loop's parts with Salesforce as the CRM, on both databases: one score on every record, backlogs in bulk."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from connectors.base import Change
from connectors.salesforce.activities import SOURCES
from leadbridge import clock
from leadbridge.errors import RetryLater
from leadbridge.sandbox.server import Sandbox
from leadbridge.store import due, inbox, leads, watermarks
from leadbridge.store.engine import Store
from leadbridge.testing import Skipping
from leadbridge.types import PersonId, RecordRef
from sync import cycle, pull, setup, sources, wiring
from sync.outlook import Scorer
from sync.worker import Enough, Rounds
from tests.helpers import rooms
from tests.helpers.syncing import Moving
from tests.webhooks.conftest import on_sqlite

SCORE = "Leadbridge_Score__c"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        sandbox.salesforce.settings.query_page = 2000
        for kind in ("Lead", "Contact"):
            sandbox.salesforce.grant_field(kind, "HasOptedOutOfEmail")
        yield sandbox


def parts_of(sandbox: Sandbox, store: Store, **connection: object) -> wiring.Parts:
    config = rooms.configuration(sandbox.url, salesforce={"activities": [], **connection})
    crm = rooms.salesforce(config, Skipping().pace())
    made = wiring.Parts(config, store, Scorer(config), [crm], None, owner="w1")
    setup.apply(made)
    return made


def lead(sandbox: Sandbox, n: int, **values: object) -> str:
    about = {"LastName": f"L{n}", "Company": "Acme", "Email": f"l{n}@acme.example", "Title": "Head"}
    return sandbox.salesforce.add("Lead", about | values)


def person(store: Store, record_id: str) -> PersonId:
    kind = "Lead" if record_id.startswith("00Q") else "Contact"
    key = RecordRef("salesforce", kind, record_id).key
    with store.reading() as tx:
        return leads.people_by_key(tx, [key])[key]


def test_every_record_of_a_person_shows_the_same_score(sandbox: Sandbox, store: Store) -> None:
    parts, org = parts_of(sandbox, store), sandbox.salesforce
    one = lead(sandbox, 1)
    other = lead(sandbox, 2, Email="L1@Acme.Example", Title=None)
    contact = org.add("Contact", {"LastName": "C", "Email": "l1@acme.example"})
    alone = lead(sandbox, 3, Title=None)
    done = cycle.sync(parts)
    assert done.written.written == 4
    assert [org.row(record).get(SCORE) for record in (one, other, contact, alone)] == [5.0, 5.0, 5.0, 0.0]
    assert person(store, one) == person(store, other) == person(store, contact) != person(store, alone)
    again = cycle.sync(parts)
    assert again.written.written == 0


def test_a_lead_converted_between_reading_and_writing_is_followed(sandbox: Sandbox, store: Store) -> None:
    parts, org = parts_of(sandbox, store), sandbox.salesforce
    one = lead(sandbox, 1)
    pull.pull(store, parts.crms, None, owner="w1")
    before = person(store, one)
    contact = str(org.convert(one)["ConvertedContactId"])
    done = cycle.act(parts)
    assert (done.written.moved, done.written.refused) == (1, 0)
    cycle.act(parts)
    assert org.row(contact)[SCORE] == 5.0
    assert SCORE not in org.row(one)
    assert person(store, contact) == before


def test_a_backlog_goes_in_bulk_and_a_trickle_by_the_call(sandbox: Sandbox, store: Store) -> None:
    parts = parts_of(sandbox, store, bulk_write_above=250)
    known = [lead(sandbox, n) for n in range(300)]

    def calls(operation: str) -> int:
        return sum(call.operation == operation for call in sandbox.world.journal)

    done = cycle.sync(parts)
    assert done.written.written == 300
    assert (calls("bulk.ingest.create"), calls("collections.update")) == (1, 0)
    assert {sandbox.salesforce.row(one)[SCORE] for one in known} == {5.0}
    sandbox.salesforce.edit(known[0], {"Title": None})
    assert cycle.sync(parts).written.written == 1
    assert (calls("bulk.ingest.create"), calls("collections.update")) == (1, 1)


def test_a_hot_signal_does_not_wait_for_a_backlog_in_bulk(sandbox: Sandbox, store: Store) -> None:
    parts = parts_of(sandbox, store, bulk_write_above=250)
    known = [lead(sandbox, n) for n in range(500)]
    pull.pull(store, parts.crms, None, owner="w1")
    with store.writing() as tx:
        due.mark_due(tx, [person(store, known[-1])], clock.now(), due.Lane.HOT)
    before = len(sandbox.world.journal)
    assert cycle.act(parts).written.written == 500
    calls = [call for call in list(sandbox.world.journal)[before:] if call.effects]
    assert calls[0].operation == "collections.update"
    assert {e.detail["id"] for e in calls[0].effects if e.detail.get("id")} == {known[-1]}
    assert sum(call.operation == "bulk.ingest.create" for call in list(sandbox.world.journal)[before:]) == 1


def test_a_hot_signal_is_scored_and_written_while_a_job_of_a_backlog_runs(sandbox: Sandbox, store: Store) -> None:
    parts, org = parts_of(sandbox, store, bulk_write_above=250), sandbox.salesforce
    org.settings.bulk_polls = 8
    for n in range(400):
        lead(sandbox, n)
    newest: list[str] = []

    def rung() -> bool:
        """A new lead, told by its event, once the job has begun."""
        if newest or not asked("bulk.ingest.status"):
            return False
        newest.append(lead(sandbox, 1000))
        event = {"type": "Lead", "record": newest[0], "event": "updated"}
        with store.writing() as tx:
            inbox.keep(tx, store.vault, "salesforce", [("new", json.dumps(event).encode())], clock.now())
        return True

    def asked(operation: str) -> list[int]:
        return [n for n, call in enumerate(sandbox.world.journal) if call.operation == operation]

    pull.pull(store, parts.crms, None, owner="w1")
    assert cycle.act(parts, rung=rung).written.written == 401
    assert org.row(newest[0])[SCORE] == 5.0
    (written,) = asked("collections.update")
    assert asked("bulk.ingest.status")[0] < written < asked("bulk.ingest.results")[0]
    assert len(asked("bulk.ingest.create")) == 1


@pytest.mark.parametrize("why", [Enough, RetryLater("salesforce", "leads", "503")], ids=["told to stop", "cannot read"])
def test_what_fails_while_a_job_runs_costs_none_of_its_results(
    sandbox: Sandbox, store: Store, why: Exception | type[Exception]
) -> None:
    parts, org = parts_of(sandbox, store, bulk_write_above=250), sandbox.salesforce
    org.settings.bulk_polls = 3
    known = [lead(sandbox, n) for n in range(300)]
    pull.pull(store, parts.crms, None, owner="w1")

    def tell(what: str, _count: int) -> None:
        if what == "written":
            raise why

    with pytest.raises(why if isinstance(why, type) else type(why)):
        cycle.act(parts, tell=tell)
    assert {org.row(one)[SCORE] for one in known} == {5.0}
    assert cycle.act(parts).written.written == 0  # all are noted as written
    assert sum(call.operation == "bulk.ingest.create" for call in sandbox.world.journal) == 1


def test_an_old_job_that_ends_after_its_process_died_is_put_right_by_a_pull(sandbox: Sandbox, store: Store) -> None:
    parts, org, time = parts_of(sandbox, store), sandbox.salesforce, Moving(clock.now(), sandbox)
    known = lead(sandbox, 1)
    cycle.sync(parts)
    org.edit(known, {"Title": None})
    assert cycle.sync(parts).written.written == 1
    late = Change(RecordRef("salesforce", "Lead", known), {SCORE: "5"})
    clock.set_source(lambda: time.at)
    try:
        time.on(minutes=1)
        rooms.salesforce(parts.config, Skipping().pace()).write([late])
        assert org.row(known)[SCORE] == 5.0
        cycle.sync(parts)
    finally:
        clock.set_source(None)
    assert org.row(known)[SCORE] == 0.0


def test_who_was_deleted_is_no_longer_written_and_nobody_else_is_touched(sandbox: Sandbox, store: Store) -> None:
    parts, org = parts_of(sandbox, store), sandbox.salesforce
    gone, stays = lead(sandbox, 1), lead(sandbox, 2)
    cycle.sync(parts)
    org.delete(gone)
    org.edit(stays, {"Title": None})
    done = cycle.sync(parts)
    assert (done.written.written, done.written.gone, done.written.refused) == (1, 0, 0)
    person_gone = person(store, gone)
    with store.writing() as tx:  # whatever would have been due
        due.mark_due(tx, [person_gone], clock.now(), due.Lane.NORMAL)
    assert cycle.act(parts).written.written == 0


def test_after_an_absence_longer_than_the_recycle_bin_everything_known_is_read_again(
    sandbox: Sandbox, store: Store
) -> None:
    parts, org = parts_of(sandbox, store), sandbox.salesforce
    stays, goes = lead(sandbox, 1), lead(sandbox, 2)
    clock.set_source(sandbox.world.clock.now)
    try:
        pull.pull(store, parts.crms, None)
        sandbox.world.clock.advance(timedelta(minutes=30))
        org.delete(goes)
        org.empty_bin()
        sandbox.world.clock.advance(timedelta(days=14, hours=12))  # the feed is asked for fourteen days
        pull.pull(store, parts.crms, None)
    finally:
        clock.set_source(None)
    with store.reading() as tx:
        assert set(leads.records_of(tx, [person(store, stays), person(store, goes)])) == {person(store, stays)}


def test_a_page_of_very_many_rows_is_stored_in_portions_and_counts_as_read_with_the_last(
    sandbox: Sandbox, store: Store
) -> None:
    """The store is held for a moment only, and the door never waits long; who dies in between begins the page anew."""
    parts, org = parts_of(sandbox, store), sandbox.salesforce
    one = lead(sandbox, 1)
    for n in range(2, 451):
        lead(sandbox, n)
    for _ in range(1100):
        org.add("Task", {"WhoId": one, "TaskSubtype": "Call"})
    told: list[tuple[str, int]] = []

    def die_at(end: tuple[str, int]) -> Callable[[str, int], None]:
        def tell(what: str, count: int) -> None:
            told.append((what, count))
            if (what, count) == end:
                raise KeyboardInterrupt

        return tell

    with pytest.raises(KeyboardInterrupt):
        pull.pull(store, parts.crms, None, tell=die_at(("leads", 200)))
    with store.reading() as tx:
        assert watermarks.progress(tx, "salesforce", sources.LEADS) is None
        assert len(leads.all_person_ids(tx, 0, 1000)) == 200
    parts = parts_of(sandbox, store, activities=["tasks"])
    pulled = pull.pull(store, parts.crms, None, tell=die_at(("", 0)))
    assert (pulled.leads, pulled.activities) == (450, 1100)
    assert [count for what, count in told if what == "leads"][:4] == [200, 200, 400, 450]
    assert [count for what, count in told if what == "activities"] == [1000, 1100]


def test_a_person_of_both_crms_has_one_score_on_every_record_and_the_stricter_consent(
    sandbox: Sandbox, store: Store
) -> None:
    parts, org, hubspot = parts_of(sandbox, store), sandbox.salesforce, rooms.unlimited(sandbox).hubspot
    parts.crms.append(rooms.hubspot(parts.config, Skipping().pace()))
    setup.apply(parts)
    one = lead(sandbox, 1, Title=None)
    contact = hubspot.add_contact({"email": "L1@acme.example", "jobtitle": "Head"})  # the only one who knows the title
    alone = hubspot.add_contact({"email": "else@acme.example"})
    cycle.sync(parts)

    def shown(record: str) -> str:
        found: str = hubspot.dump()["objects"]["contacts"][record]["properties"]["leadbridge_score"]
        return found

    assert (org.row(one)[SCORE], shown(contact), shown(alone)) == (5.0, "5", "0")
    org.edit(one, {"HasOptedOutOfEmail": True})
    cycle.sync(parts)
    with store.reading() as tx:
        assert leads.people(tx, [person(store, one)])[person(store, one)].opted_out
        assert {row.ref.vendor for vendor in ("hubspot", "salesforce")
                for rows in leads.refs_of(tx, [person(store, one)], vendor).values() for row in rows} == {
            "hubspot", "salesforce"}  # fmt: skip


def test_a_record_that_goes_over_to_somebody_else_shows_their_score(sandbox: Sandbox, store: Store) -> None:
    parts, org, hubspot = parts_of(sandbox, store), sandbox.salesforce, rooms.unlimited(sandbox).hubspot
    parts.crms.append(rooms.hubspot(parts.config, Skipping().pace()))
    setup.apply(parts)
    one = lead(sandbox, 1, Title=None)
    known = hubspot.add_contact({"email": "l1@acme.example", "jobtitle": "Head"})
    for title in ("Chief", "", "Chief", "", "Boss"):  # the score of the first changes often, the second's never
        hubspot.edit_contact(known, {"jobtitle": title})
        cycle.sync(parts)
    hubspot.add_contact({"email": "l2@acme.example"})
    cycle.sync(parts)
    assert org.row(one)[SCORE] == 5.0
    org.edit(one, {"Email": "l2@acme.example"})
    for _ in range(2):
        cycle.sync(parts)
    assert org.row(one)[SCORE] == 0.0


@on_sqlite
def test_an_idle_cycle_asks_once_for_changes_of_each_object_and_writes_nothing(sandbox: Sandbox, store: Store) -> None:
    parts, org = parts_of(sandbox, store, activities=list(SOURCES)), sandbox.salesforce
    account = org.add("Account", {"Name": "Acme"})
    org.add("Contact", {"LastName": "C", "Email": "c@acme.example", "AccountId": account})
    lead(sandbox, 1)
    worker, time = Rounds(parts, rung=lambda: False), Moving(clock.now(), sandbox)
    clock.set_source(lambda: time.at)
    try:
        for _ in range(7):  # until everything is written, and its echo is old enough not to be read again
            worker.pull()
            worker.work()
            time.on(minutes=5)
        before, cycles = len(list(sandbox.world.journal)), 6
        for _ in range(cycles):
            worker.pull()
            worker.work()
            time.on(minutes=5)
    finally:
        clock.set_source(None)
    asked = Counter(call.operation for call in list(sandbox.world.journal)[before:])
    with_feed = {"Task", "Event", "EmailMessage", "CampaignMember"}
    asked_by_query = {source.kind for source in SOURCES.values()} - with_feed
    asked_by_query |= {"Individual", "OpportunityContactRole", "Opportunity", "Account", "Lead", "Contact"}
    assert asked.pop("queryAll") == len(asked_by_query) * cycles
    assert asked == dict.fromkeys((f"{kind}.updated" for kind in with_feed), cycles)

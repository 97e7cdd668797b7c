"""Reading people: nothing lost, nobody twice, and whoever left is not read as someone who did not."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from connectors.base import Page, Progress
from connectors.salesforce.connector import Salesforce
from leadbridge import clock
from leadbridge.errors import FeatureMissing, NeedsOperator, RetryLater
from leadbridge.sandbox import salesforce as stand_in
from leadbridge.sandbox.server import Sandbox
from leadbridge.sandbox.world import Fault
from leadbridge.types import Lead, RecordRef
from tests.helpers import rooms

Rooms = Callable[..., Salesforce]
LONG_AGO = timedelta(days=3)


def ref(record_id: str) -> RecordRef:
    return RecordRef("salesforce", "Lead" if record_id.startswith("00Q") else "Contact", record_id)


def a_lead(org: stand_in.Salesforce, n: int = 0, at: datetime | None = None, **values: object) -> str:
    return org.add("Lead", {"LastName": f"L{n}", "Company": "Acme", "Email": f"l{n}@acme.example", **values}, at)


def a_contact(org: stand_in.Salesforce, n: int = 0, at: datetime | None = None, **values: object) -> str:
    return org.add("Contact", {"LastName": f"C{n}", "Email": f"c{n}@acme.example", **values}, at)


def pulled(room: Salesforce, progress: Progress | None) -> tuple[list[Page[Lead]], Progress]:
    pages = list(room.pull_leads(progress))
    return pages, pages[-1].progress


def found(pages: Iterable[Page[Lead]]) -> dict[str, Lead]:
    return {lead.ref.record_id: lead for page in pages for lead in page.rows}


def long_ago(sandbox: Sandbox) -> datetime:
    return sandbox.world.clock.now() - LONG_AGO


def calls(sandbox: Sandbox, operation: str) -> int:
    return sum(call.operation == operation for call in sandbox.world.journal)


@contextmanager
def sandbox_time(sandbox: Sandbox) -> Iterator[None]:
    """The sandbox's clock is leadbridge's too."""
    clock.set_source(sandbox.world.clock.now)
    try:
        yield
    finally:
        clock.set_source(None)


def test_a_row_that_commits_late_with_an_old_stamp_is_not_lost(
    room: Salesforce, org: stand_in.Salesforce, sandbox: Sandbox
) -> None:
    """A stamp is given at save and seen at commit: only the change feed says up to when all is read (section 3.3)."""
    known = [a_lead(org, n, long_ago(sandbox)) for n in range(3)]
    _, progress = pulled(room, None)
    save = org.begin_save(known[0], {"Title": "Saved long before it is seen"})
    stamped = sandbox.world.clock.now()
    for hours in (1, 2):
        sandbox.world.clock.set(stamped + timedelta(hours=hours))
        org.edit(known[1], {"Title": f"Edited meanwhile {hours}"})
        with sandbox_time(sandbox):
            _, progress = pulled(room, progress)
    org.commit_save(save)
    pages, _ = pulled(room, progress)
    assert found(pages)[known[0]].attributes["job_title"] == "Saved long before it is seen"


def test_a_row_that_commits_between_a_walk_and_the_question_how_far_it_went_is_not_lost(
    room: Salesforce, org: stand_in.Salesforce, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (a_lead(org, n, long_ago(sandbox)) for n in range(2))
    _, progress = pulled(room, None)
    walks, began = room._leads._walks, sandbox.world.clock.now()
    save = org.begin_save(one, {"Title": "Seen late"})
    asked = walks.covered

    def commit_first(kind: str, at: datetime | None) -> tuple[datetime, bool]:
        if kind == "Lead":
            org.commit_save(save)
        return asked(kind, at)

    monkeypatch.setattr(walks, "covered", commit_first)
    sandbox.world.clock.set(began + timedelta(hours=1))
    org.edit(other, {"Title": "Edited meanwhile"})
    with sandbox_time(sandbox):
        pages, progress = pulled(room, progress)
        assert set(found(pages)) == {other}
        monkeypatch.setattr(walks, "covered", asked)
        sandbox.world.clock.set(began + timedelta(hours=2))
        pages, _ = pulled(room, progress)
    assert found(pages)[one].attributes["job_title"] == "Seen late"


def test_while_nothing_changes_a_round_is_one_query_for_each_object(
    room: Salesforce, org: stand_in.Salesforce, sandbox: Sandbox
) -> None:
    account = org.add("Account", {"Name": "Acme"}, long_ago(sandbox))
    one = a_contact(org, 1, long_ago(sandbox), AccountId=account)
    a_lead(org, 2, long_ago(sandbox))
    with sandbox_time(sandbox):
        _, progress = pulled(room, None)
        org.edit(one, {"Title": "Director"})
        for quiet in range(12):
            sandbox.world.clock.advance(timedelta(minutes=5))
            before = len(list(sandbox.world.journal))
            pages, progress = pulled(room, progress)
            asked = Counter(call.operation for call in list(sandbox.world.journal)[before:])
            if quiet > 3:  # changes of the last ten minutes are read again
                assert asked == {"queryAll": 6}
                assert found(pages) == {}
        org.edit(one, {"Title": "Head"})
        assert found(pulled(room, progress)[0])[one].attributes["job_title"] == "Head"


def test_changes_are_read_again_for_no_longer_than_they_may_commit_late(
    room: Salesforce, org: stand_in.Salesforce, sandbox: Sandbox
) -> None:
    one = a_lead(org, 1, long_ago(sandbox))
    with sandbox_time(sandbox):
        _, progress = pulled(room, None)
        org.edit(one, {"Title": "Director"})
        told = []
        for _ in range(8):
            sandbox.world.clock.advance(timedelta(minutes=5))
            pages, progress = pulled(room, progress)
            told.append(one in found(pages))
    assert told == [True] * 4 + [False] * 4


def test_rows_that_share_one_stamp_are_all_read(room: Salesforce, org: stand_in.Salesforce, sandbox: Sandbox) -> None:
    known = [a_lead(org, n, long_ago(sandbox)) for n in range(60)]
    _, progress = pulled(room, None)
    org.settings.query_page = 7
    org.stamp_rows(known, sandbox.world.clock.now() - timedelta(minutes=2))
    assert set(found(pulled(room, progress)[0])) == set(known)


def test_a_cursor_that_died_is_asked_for_anew(room: Salesforce, org: stand_in.Salesforce, sandbox: Sandbox) -> None:
    known = [a_lead(org, n, long_ago(sandbox)) for n in range(25)]
    org.settings.query_page = 10
    pages = room.pull_leads(None)
    first = next(pages)
    org._store.state.cursors.clear()
    assert set(found([first, *pages])) == set(known)


def test_a_converted_lead_is_the_contact_from_then_on(
    room: Salesforce, org: stand_in.Salesforce, sandbox: Sandbox
) -> None:
    one = a_lead(org, 1, long_ago(sandbox), Title="Director")
    _, progress = pulled(room, None)
    contact = str(org.convert(one)["ConvertedContactId"])
    pages, _ = pulled(room, progress)
    assert set(found(pages)) == {contact}
    assert ref(one) in next(lead for page in pages for lead in page.rows if lead.aliases).aliases
    reading = room.read_leads([ref(one)])
    assert reading.moved == {ref(one): ref(contact)}
    assert [lead.ref for lead in reading.found] == [ref(contact)]


def test_a_lead_converted_into_a_contact_that_was_merged_and_merged_again_is_found_at_the_end(
    room: Salesforce, org: stand_in.Salesforce
) -> None:
    one, second, last = a_lead(org), a_contact(org, 2), a_contact(org, 3)
    first = str(org.convert(one)["ConvertedContactId"])
    org.merge(second, [first])
    org.merge(last, [second])
    reading = room.read_leads([ref(one), ref(first), ref(second)])
    assert reading.moved == dict.fromkeys([ref(one), ref(first), ref(second)], ref(last))
    assert len(reading.found) == 1


def test_without_contacts_a_converted_lead_is_gone(a_room: Rooms, org: stand_in.Salesforce) -> None:
    one = a_lead(org)
    org.convert(one)
    reading = a_room(objects=["Lead"]).read_leads([ref(one)])
    assert (reading.found, reading.gone) == ([], [ref(one)])


def test_what_was_deleted_is_told_by_a_pull(room: Salesforce, org: stand_in.Salesforce, sandbox: Sandbox) -> None:
    one, other = a_lead(org, 1, long_ago(sandbox)), a_contact(org, 2, long_ago(sandbox))
    _, progress = pulled(room, None)
    org.delete(one)
    org.delete(other)
    pages, _ = pulled(room, progress)
    assert {gone for page in pages for gone in page.gone} == {ref(one), ref(other)}


@pytest.mark.parametrize("ended", ["OpportunityContactRole", "Opportunity"])
def test_a_deal_or_a_role_that_was_deleted_leaves_its_contact_without(
    room: Salesforce, org: stand_in.Salesforce, sandbox: Sandbox, ended: str
) -> None:
    """The feed of changes does not tell of deletions, and the stamp of the contact stands still."""
    at = long_ago(sandbox)
    one = a_contact(org, 1, at)
    deal = {"Name": "Deal", "StageName": "Prospecting", "CloseDate": "2026-12-01", "Amount": 900}
    made = {"Opportunity": org.add("Opportunity", deal, at)}
    made["OpportunityContactRole"] = org.add(
        "OpportunityContactRole", {"OpportunityId": made["Opportunity"], "ContactId": one}, at
    )
    pages, progress = pulled(room, None)
    assert found(pages)[one].attributes["budget"] == 900
    org.delete(made[ended])
    pages, _ = pulled(room, progress)
    assert found(pages)[one].attributes.get("budget") is None


def test_what_was_purged_from_the_bin_is_told_within_a_day(
    room: Salesforce, org: stand_in.Salesforce, sandbox: Sandbox
) -> None:
    one = a_lead(org, 1, long_ago(sandbox))
    _, progress = pulled(room, None)
    org.delete(one)
    progress = {**progress, "Lead.deleted.at": (datetime.now(UTC) - timedelta(hours=25)).isoformat()}
    sandbox.world.clock.advance(timedelta(minutes=2))
    with sandbox_time(sandbox):
        pages, progress = pulled(room, progress)
        assert ref(one) in {gone for page in pages for gone in page.gone}
        assert calls(sandbox, "Lead.deleted") == 1
        pulled(room, progress)
        assert calls(sandbox, "Lead.deleted") == 1  # once a day


def test_a_changed_account_brings_its_contacts_although_their_stamps_stand_still(
    room: Salesforce, org: stand_in.Salesforce, sandbox: Sandbox
) -> None:
    account = org.add("Account", {"Name": "Acme", "NumberOfEmployees": 10}, long_ago(sandbox))
    one = a_contact(org, 1, long_ago(sandbox), AccountId=account)
    a_contact(org, 2, long_ago(sandbox))
    _, progress = pulled(room, None)
    org.edit(account, {"NumberOfEmployees": 500})
    org.stamp_rows([account], sandbox.world.clock.now() - timedelta(minutes=2))
    pages, _ = pulled(room, progress)
    assert found(pages)[one].attributes["employees"] == 500
    assert set(found(pages)) == {one}


def test_a_deal_makes_its_contact_an_opportunity_and_a_won_one_a_customer(
    room: Salesforce, org: stand_in.Salesforce, sandbox: Sandbox
) -> None:
    one, at = a_contact(org, 1, long_ago(sandbox)), long_ago(sandbox)
    _, progress = pulled(room, None)
    deal = {"Name": "Deal", "StageName": "Prospecting", "CloseDate": "2026-12-01", "Amount": 900}
    made = org.add("Opportunity", deal, at)
    role = org.add("OpportunityContactRole", {"OpportunityId": made, "ContactId": one}, at)
    org.stamp_rows([role], sandbox.world.clock.now() - timedelta(minutes=2))
    pages, progress = pulled(room, progress)
    lead = found(pages)[one]
    assert (lead.attributes["lifecycle_stage"], lead.attributes["budget"]) == ("opportunity", 900)
    org.edit(made, {"StageName": "Closed Won"})
    org.stamp_rows([made], sandbox.world.clock.now() - timedelta(minutes=2))
    pages, _ = pulled(room, progress)
    assert found(pages)[one].attributes["lifecycle_stage"] == "customer"


def test_an_opt_out_nobody_can_see_stops_the_reading(a_room: Rooms, org: stand_in.Salesforce, sandbox: Sandbox) -> None:
    """Absent is not "may be mailed": the field is hidden until an admin shows it (section 2.2)."""
    a_lead(org)
    grants = [row for row in org._store.state.live("FieldPermissions") if row.get("SobjectType") == "Lead"]
    for row in grants:
        org.delete(row.id)
    with pytest.raises(NeedsOperator, match=r"Lead\.HasOptedOutOfEmail.*field-level security"):
        list(a_room().pull_leads(None))


def test_an_opt_out_that_is_no_checkbox_stops_the_reading(a_room: Rooms, org: stand_in.Salesforce) -> None:
    """Whatever a text or a choice says, `true` it does not say: nobody would ever have opted out (reliability G20)."""
    a_lead(org, Title="opted out")
    with pytest.raises(NeedsOperator, match=r"Lead\.Title is no checkbox but of type string.*name a checkbox"):
        list(a_room(opt_out="Title").pull_leads(None))


def test_an_opt_out_is_read_as_one(room: Salesforce, org: stand_in.Salesforce) -> None:
    left, stayed = a_lead(org, 1, HasOptedOutOfEmail=True), a_contact(org, 2)
    read = {lead.ref.record_id: lead.opted_out for lead in room.read_leads([ref(left), ref(stayed)]).found}
    assert read == {left: True, stayed: False}


@pytest.mark.parametrize("box", ["HasOptedOutSolicit", "HasOptedOutProcessing", "ShouldForget"])
def test_who_refuses_as_an_individual_is_opted_out_in_all_their_records(
    room: Salesforce, org: stand_in.Salesforce, sandbox: Sandbox, box: str
) -> None:
    someone = org.add("Individual", {"LastName": "Doe"}, long_ago(sandbox))
    theirs = [
        a_lead(org, 1, long_ago(sandbox), IndividualId=someone),
        a_contact(org, 2, long_ago(sandbox), IndividualId=someone),
    ]
    a_contact(org, 3, long_ago(sandbox), IndividualId=org.add("Individual", {"LastName": "Roe"}))
    pages, progress = pulled(room, None)
    assert not any(lead.opted_out for lead in found(pages).values())
    org.edit(someone, {box: True})
    behind = room.people_behind([RecordRef("salesforce", "Individual", someone)])
    assert behind == sorted(map(ref, theirs))
    assert [lead.opted_out for lead in room.read_leads(behind).found] == [True, True]
    org.stamp_rows([someone], sandbox.world.clock.now() - timedelta(minutes=2))
    pages, _ = pulled(room, progress)  # their own stamps stood still
    assert {record_id for record_id, lead in found(pages).items() if lead.opted_out} == set(theirs)


def test_a_field_of_the_individual_is_read_like_one_of_the_record(sandbox: Sandbox, org: stand_in.Salesforce) -> None:
    fields = {"no_profile": {"salesforce": "Individual.HasOptedOutProfiling", "type": "boolean"}}
    room = rooms.salesforce(rooms.configuration(sandbox.url, fields=rooms.FIELDS | fields))
    someone = org.add("Individual", {"LastName": "Doe", "HasOptedOutProfiling": True})
    one, other = a_lead(org, 1, IndividualId=someone), a_contact(org, 2)
    read = {lead.ref.record_id: lead for lead in room.read_leads([ref(one), ref(other)]).found}
    assert (read[one].attributes["no_profile"], read[one].opted_out) == (True, False)
    assert read[other].attributes["no_profile"] is None


def test_an_org_without_individuals_is_read_all_the_same(a_room: Rooms, org: stand_in.Salesforce) -> None:
    org.settings.lacks = frozenset({"Individual"})
    one = a_lead(org, 1)
    assert set(found(a_room().pull_leads(None))) == {one}


def test_an_account_a_deal_and_a_role_lead_to_the_contacts_behind_them(
    room: Salesforce, org: stand_in.Salesforce
) -> None:
    account = org.add("Account", {"Name": "Acme"})
    employed, dealing, left, _ = a_contact(org, 1, AccountId=account), *(a_contact(org, n) for n in (2, 3, 4))
    deal = org.add("Opportunity", {"Name": "Deal", "StageName": "Prospecting", "CloseDate": "2026-12-01"})
    org.add("OpportunityContactRole", {"OpportunityId": deal, "ContactId": dealing})
    ended = org.add("OpportunityContactRole", {"OpportunityId": deal, "ContactId": left})

    def behind(kind: str, record_id: str) -> list[RecordRef]:
        return list(room.people_behind([RecordRef("salesforce", kind, record_id)]))

    assert behind("Account", account) == [ref(employed)]
    assert behind("Account", account[:15]) == [ref(employed)]
    assert set(behind("Opportunity", deal)) == {ref(dealing), ref(left)}
    org.delete(ended)
    assert behind("OpportunityContactRole", ended) == [ref(left)]  # whom it no longer concerns
    assert behind("Task", account) == behind("Account", "no id") == []
    org.settings.lacks = frozenset({"OpportunityContactRole"})
    assert behind("Opportunity", deal) == []


def test_an_email_is_told_of_the_record_that_salesforce_relates_it_to(a_room: Rooms, org: stand_in.Salesforce) -> None:
    one, at = a_contact(org, 1), "2026-11-20T10:00:00.000+0000"
    about = {"Status": "3", "Incoming": False, "FromAddress": "us@shop.example", "MessageDate": at}
    mail = org.add("EmailMessage", {**about, "ToAddress": "Old.Address@acme.example; other@acme.example"})
    relation = {"EmailMessageId": mail, "RelationType": "ToAddress", "RelationAddress": "old.address@acme.example"}
    org.add("EmailMessageRelation", {**relation, "RelationId": one})
    rows = [row for page in a_room().pull_activities("emails", None) for row in page.rows]
    assert {row.subject for row in rows} == {ref(one).key, "email:other@acme.example"}
    org.settings.lacks = frozenset({"EmailMessageRelation"})
    again = [row for page in a_room().pull_activities("emails", None) for row in page.rows]
    assert {row.subject for row in again} == {"email:old.address@acme.example", "email:other@acme.example"}
    assert {row.source_id for row in again} == {row.source_id for row in rows}  # the same facts, told once


def test_ids_are_told_in_eighteen_letters_and_answered_as_they_were_asked(
    room: Salesforce, org: stand_in.Salesforce
) -> None:
    one = a_lead(org)
    short = RecordRef("salesforce", "Lead", one[:15])
    reading = room.read_leads([short, RecordRef("salesforce", "Contact", one)])
    assert [lead.ref.record_id for lead in reading.found] == [one]
    assert reading.gone == [RecordRef("salesforce", "Contact", one)]


def test_a_thousand_ids_stay_below_the_longest_address(
    room: Salesforce, org: stand_in.Salesforce, sandbox: Sandbox
) -> None:
    known = [a_lead(org, n) for n in range(1000)]
    room.read_leads([ref(known[0])])
    before = len(sandbox.world.journal)
    assert len(room.read_leads([ref(one) for one in known]).found) == 1000
    asked = sandbox.world.journal.since(before)
    assert {call.status for call in asked} == {200}
    assert len(asked) == 3  # 400 a call


def test_html_from_the_edge_is_a_pause_not_a_crash(
    room: Salesforce, org: stand_in.Salesforce, sandbox: Sandbox
) -> None:
    one = a_lead(org)
    for status in (420, 503, 401):
        sandbox.world.faults.add(Fault("html", operation="queryAll", status=status, times=1))
        assert len(room.read_leads([ref(one)]).found) == 1


def test_a_field_hidden_since_we_looked_is_looked_at_anew(room: Salesforce, org: stand_in.Salesforce) -> None:
    """Descriptions are kept for an hour; what a query says of them is believed at once (section 5.4)."""
    one = a_lead(org)
    room.read_leads([ref(one)])
    rows = [row for row in org._store.state.live("FieldPermissions") if "Leadbridge" in str(row.get("Field"))]
    for row in rows:
        org.delete(row.id)
    with pytest.raises(RetryLater, match="looked at anew"):
        room.read_leads([ref(one)])
    assert [lead.ref for lead in room.read_leads([ref(one)]).found] == [ref(one)]


# --- in bulk ---------------------------------------------------------------------------------------------------------


def test_many_rows_are_read_in_bulk_and_a_killed_reader_finds_its_job(
    a_room: Rooms, room: Salesforce, org: stand_in.Salesforce, sandbox: Sandbox
) -> None:
    account = org.add("Account", {"Name": "Acme, Inc.", "NumberOfEmployees": 5}, long_ago(sandbox))
    known = [a_contact(org, n, long_ago(sandbox), AccountId=account, Title='A "quoted", title') for n in range(30)]
    org.settings.bulk_page, org.settings.bulk_polls = 7, 3
    bulk = a_room(objects=["Contact"], bulk_read_above=20)
    pages: list[Page[Lead]] = []
    progress: Progress | None = None
    while set(found(pages)) != set(known):  # each process lives to see one page
        pages.append(next(iter(bulk.pull_leads(progress))))
        progress = pages[-1].progress
        assert len(pages) < 10
    assert calls(sandbox, "bulk.query.create") == 1
    lead = found(pages)[known[0]]
    assert (lead.attributes["job_title"], lead.attributes["employees"]) == ('A "quoted", title', 5)


def test_a_bulk_job_that_fails_leaves_the_reading_to_queries(
    a_room: Rooms, room: Salesforce, org: stand_in.Salesforce, sandbox: Sandbox
) -> None:
    known = [a_lead(org, n, long_ago(sandbox)) for n in range(30)]
    sandbox.world.faults.add(Fault("status", operation="bulk.query.results", status=404, times=100))
    pages, _ = pulled(a_room(objects=["Lead"], bulk_read_above=20), None)
    assert set(found(pages)) == set(known)


def test_changes_of_mapped_fields_are_told_once_each_and_of_no_other_field(
    a_room: Rooms, org: stand_in.Salesforce, sandbox: Sandbox
) -> None:
    room = a_room(activities=["lead_history", "contact_history"])
    for field in ("Title", "Status", "City", "Leadbridge_Grade__c"):
        org.track_field("Lead", field)
    org.track_field("Contact", "Title")
    room.create(room.specs())
    one, two = a_lead(org, 1, long_ago(sandbox), Title="Clerk"), a_contact(org, 2, long_ago(sandbox))
    org.edit(one, {"Title": "Director", "City": "Bern", "Leadbridge_Grade__c": "A"})
    org.edit(one, {"Status": "Working - Contacted"})
    org.edit(two, {"Title": "Head"})

    def changes(stream: str, progress: Progress | None = None) -> tuple[list[tuple[object, ...]], Progress]:
        pages = list(room.pull_activities(stream, progress))
        told = [row for page in pages for row in page.rows]
        return [(row.subject, *(row.attributes.get(key) for key in ("field", "old", "new"))) for row in told], pages[
            -1
        ].progress

    of_leads, progress = changes("lead_history")
    assert of_leads == [
        (ref(one).key, "Title", "Clerk", "Director"),
        (ref(one).key, "Status", "Open - Not Contacted", "Working - Contacted"),
    ]
    assert changes("contact_history")[0] == [(ref(two).key, "Title", None, "Head")]
    sandbox.world.clock.advance(timedelta(minutes=30))
    with sandbox_time(sandbox):
        _, progress = changes("lead_history", progress)
        sandbox.world.clock.advance(timedelta(minutes=30))
        org.edit(one, {"Title": "Chief"})
        assert changes("lead_history", progress)[0] == [(ref(one).key, "Title", "Director", "Chief")]


def test_an_org_without_field_history_switches_the_source_off(a_room: Rooms, org: stand_in.Salesforce) -> None:
    org.settings.lacks = frozenset({"LeadHistory"})
    with pytest.raises(FeatureMissing):
        list(a_room(activities=["lead_history"]).pull_activities("lead_history", None))

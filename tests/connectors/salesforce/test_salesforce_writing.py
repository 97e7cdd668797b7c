"""Setting fields: each record accounted for, nobody's owner moved, no loop, no silent loss."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from connectors.base import Change, Outcome, SalesTask
from connectors.salesforce.connector import Salesforce
from leadbridge.errors import NeedsOperator, RetryLater, Unknown
from leadbridge.sandbox import salesforce as stand_in
from leadbridge.sandbox.server import Sandbox
from leadbridge.sandbox.world import Fault
from leadbridge.testing import Skipping
from leadbridge.types import RecordRef

Rooms = Callable[..., Salesforce]
SCORE = "Leadbridge_Score__c"


def ref(record_id: str) -> RecordRef:
    return RecordRef("salesforce", "Lead" if record_id.startswith("00Q") else "Contact", record_id)


def leads(org: stand_in.Salesforce, count: int) -> list[str]:
    return [
        org.add("Lead", {"LastName": f"L{n}", "Company": "Acme", "Email": f"l{n}@acme.example"}) for n in range(count)
    ]


def idle() -> None:
    """Nothing is done while a job is waited for."""


def write(room: Salesforce, *record_ids: str, score: str = "72") -> list[Outcome]:
    settled = room.write([Change(ref(one), {SCORE: score}) for one in record_ids])
    return [settled[ref(one)].outcome for one in record_ids]


def calls(sandbox: Sandbox, operation: str) -> int:
    return sum(call.operation == operation for call in sandbox.world.journal)


def test_a_score_never_moves_an_owner_not_even_after_a_renewed_token(
    room: Salesforce, org: stand_in.Salesforce
) -> None:
    """Auto-Assign is TRUE by default, and a library that signs in again loses headers (sections 4.3 and 8.4)."""
    (one,) = leads(org, 1)
    owner = org.row(one)["OwnerId"]
    assert write(room, one) == [Outcome.WRITTEN]
    org.end_sessions()
    assert write(room, one, score="73") == [Outcome.WRITTEN]
    assert org.row(one)["OwnerId"] == owner


def test_assignment_rules_run_only_where_the_admin_says_so(
    a_room: Rooms, room: Salesforce, org: stand_in.Salesforce
) -> None:
    (one,) = leads(org, 1)
    write(a_room(assignment_rules=True), one)
    assert org.row(one)["OwnerId"] == stand_in.RULE_OWNER


def test_two_hundred_go_in_one_call_and_kinds_do_not_alternate(
    room: Salesforce, org: stand_in.Salesforce, sandbox: Sandbox
) -> None:
    """More than ten runs of one type in a call are refused, so records are sorted (section 4.1)."""
    mixed = []
    for one in leads(org, 100):
        mixed += [one, org.add("Contact", {"LastName": "C"})]
    before = calls(sandbox, "collections.update")
    assert write(room, *mixed) == [Outcome.WRITTEN] * 200
    assert calls(sandbox, "collections.update") - before == 1


def test_rows_that_are_locked_are_sent_once_more_few_at_a_time(
    room: Salesforce, org: stand_in.Salesforce, sandbox: Sandbox
) -> None:
    known = leads(org, 60)
    for one in known[:30]:
        org.refuse(one, "UNABLE_TO_LOCK_ROW")
    org.refuse(known[40], "UNABLE_TO_LOCK_ROW", times=2)
    before = calls(sandbox, "collections.update")
    outcomes = write(room, *known)
    assert outcomes[:40] == [Outcome.WRITTEN] * 40
    assert outcomes[40] is Outcome.UNANSWERED  # still held: the caller tries again later
    assert calls(sandbox, "collections.update") - before == 3


@pytest.mark.parametrize("bad", [[0], [3], [0, 15, 22, 49]])
def test_a_row_whose_trigger_brings_the_call_down_stands_alone_and_the_others_are_written(
    room: Salesforce, org: stand_in.Salesforce, sandbox: Sandbox, bad: list[int]
) -> None:
    known = leads(org, 50 if len(bad) > 1 else 4)
    for n in bad:
        sandbox.world.faults.add(
            Fault("status", operation="collections.update", status=500, times=1000, holding=f'"{known[n]}"')
        )
    found = write(room, *known)
    assert [n for n, outcome in enumerate(found) if outcome is Outcome.UNANSWERED] == bad
    assert found.count(Outcome.WRITTEN) == len(known) - len(bad)


def test_an_org_that_breaks_over_everything_says_nothing_of_any_row(
    room: Salesforce, org: stand_in.Salesforce, sandbox: Sandbox
) -> None:
    known = leads(org, 3)
    sandbox.world.faults.add(Fault("status", status=500, times=10_000))
    with pytest.raises(Unknown):
        write(room, *known)


def test_a_lock_inside_the_words_of_a_trigger_is_a_lock(room: Salesforce, org: stand_in.Salesforce) -> None:
    locked, broken = leads(org, 2)
    words = "LeadTrigger: execution of AfterUpdate caused by: DmlException: UNABLE_TO_LOCK_ROW, unable to obtain"
    org.refuse(locked, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", words, times=2)
    org.refuse(broken, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY")
    assert write(room, locked, broken) == [Outcome.UNANSWERED, Outcome.REFUSED]


@pytest.mark.parametrize(
    "code",
    ["FIELD_CUSTOM_VALIDATION_EXCEPTION", "DUPLICATES_DETECTED", "ENTITY_IS_LOCKED", "INSUFFICIENT_ACCESS_OR_READONLY"],
)
def test_a_refused_row_is_refused_alone_and_in_its_own_words(
    room: Salesforce, org: stand_in.Salesforce, code: str
) -> None:
    bad, good = leads(org, 2)
    org.refuse(bad, code)
    settled = room.write([Change(ref(one), {SCORE: "5"}) for one in (bad, good)])
    assert (settled[ref(bad)].outcome, settled[ref(good)].outcome) == (Outcome.REFUSED, Outcome.WRITTEN)
    assert code in settled[ref(bad)].reason


def test_a_converted_lead_is_never_written_and_its_contact_is_named(room: Salesforce, org: stand_in.Salesforce) -> None:
    (one,) = leads(org, 1)
    contact = org.convert(one)["ConvertedContactId"]
    settled = room.write([Change(ref(one), {SCORE: "5"})])
    assert settled[ref(one)].outcome is Outcome.MOVED
    assert settled[ref(one)].moved_to == ref(str(contact))
    assert SCORE not in org.row(one)


def test_an_alert_of_duplicates_lets_a_score_through_unless_told_otherwise(
    a_room: Rooms, room: Salesforce, org: stand_in.Salesforce
) -> None:
    org.settings.duplicate_rule = "alert"
    one, other = (org.add("Lead", {"LastName": "L", "Company": "A", "Email": "one@acme.example"}) for _ in range(2))
    assert write(room, one, other) == [Outcome.WRITTEN] * 2
    assert write(a_room(on_duplicate="refuse"), one) == [Outcome.REFUSED]


@pytest.mark.parametrize("fails_all", [False, True], ids=["row by row", "the whole call"])
def test_a_hidden_field_stops_the_writing_whichever_way_it_is_told(
    room: Salesforce, org: stand_in.Salesforce, fails_all: bool
) -> None:
    """Both outcomes of an UNCONFIRMED point (section 4.4)."""
    known = leads(org, 5)
    org.settings.unknown_field_fails_all = fails_all
    for row in [one for one in org._store.state.live("FieldPermissions") if one.get("Field") == f"Lead.{SCORE}"]:
        org.delete(row.id)
    with pytest.raises(NeedsOperator, match=rf"{SCORE}.*leadbridge apply"):
        write(room, *known)


def test_an_equal_value_is_not_worth_a_call(room: Salesforce, org: stand_in.Salesforce) -> None:
    """Each write moves the stamp, and flows and alerts run on it: the org's own spelling of a number is the number."""
    (one,) = leads(org, 1)
    write(room, one, score="72")
    assert org.row(one)[SCORE] == 72.0
    (lead,) = room.read_leads([ref(one)]).found
    assert room.changes({"score": 72}, lead.written) == {}


def test_clearing_a_value_clears_it(room: Salesforce, org: stand_in.Salesforce) -> None:
    (one,) = leads(org, 1)
    write(room, one)
    write(room, one, score="")
    assert SCORE not in org.row(one)


# --- in bulk ---------------------------------------------------------------------------------------------------------


def test_many_records_go_by_bulk_job_and_each_is_accounted_for(
    a_room: Rooms, room: Salesforce, org: stand_in.Salesforce, sandbox: Sandbox
) -> None:
    """`JobComplete` with failed rows is normal: the lists of results say what became of each (section 4.6)."""
    known = leads(org, 300)
    org.refuse(known[1], "FIELD_CUSTOM_VALIDATION_EXCEPTION")
    org.refuse(known[2], "UNABLE_TO_LOCK_ROW")
    converted, few = known[3], org.add("Contact", {"LastName": "Alone"})
    contact = org.convert(converted)["ConvertedContactId"]
    bulk = a_room()
    before = calls(sandbox, "collections.update")
    settled = bulk.write_many([Change(ref(one), {SCORE: "5"}) for one in [*known, few]], idle)
    outcomes = [settled[ref(one)].outcome for one in known]
    assert outcomes[:5] == [
        Outcome.WRITTEN, Outcome.REFUSED, Outcome.UNANSWERED, Outcome.MOVED, Outcome.WRITTEN,
    ]  # fmt: skip
    assert set(outcomes[4:]) == {Outcome.WRITTEN}
    assert settled[ref(converted)].moved_to == ref(str(contact))
    assert (calls(sandbox, "bulk.ingest.create"), calls(sandbox, "collections.update") - before) == (1, 1)
    assert org.row(few)[SCORE] == 5.0


def test_a_bulk_job_clears_what_is_to_be_cleared_and_leaves_the_rest(
    a_room: Rooms, room: Salesforce, org: stand_in.Salesforce
) -> None:
    """An empty cell would leave the old value standing (section 4.6)."""
    known = leads(org, 300)
    bulk = a_room()
    reasons = 'line "one"\nline, two'
    bulk.write_many([Change(ref(one), {SCORE: "5", "Leadbridge_Reasons__c": reasons}) for one in known], idle)
    assert org.row(known[0])["Leadbridge_Reasons__c"] == reasons
    bulk.write_many([Change(ref(one), {SCORE: ""}) for one in known], idle)
    assert SCORE not in org.row(known[0])
    assert org.row(known[0])["Leadbridge_Reasons__c"] == reasons


@pytest.mark.parametrize("step", ["bulk.ingest.upload", "bulk.ingest.state", "bulk.ingest.results"])
def test_a_lost_answer_of_any_step_of_a_job_costs_nothing(
    a_room: Rooms, room: Salesforce, org: stand_in.Salesforce, sandbox: Sandbox, step: str
) -> None:
    known = leads(org, 210)
    sandbox.world.faults.add(Fault("reset_after", operation=step, times=1))
    settled = a_room().write_many([Change(ref(one), {SCORE: "5"}) for one in known], idle)
    assert {answer.outcome for answer in settled.values()} == {Outcome.WRITTEN}
    assert calls(sandbox, "collections.update") == 0


def test_a_refused_job_leaves_the_writing_to_calls(
    a_room: Rooms, room: Salesforce, org: stand_in.Salesforce, sandbox: Sandbox
) -> None:
    known = leads(org, 210)
    sandbox.world.faults.add(Fault("status", operation="bulk.ingest.create", status=400, times=100))
    settled = a_room().write_many([Change(ref(one), {SCORE: "5"}) for one in known], idle)
    assert {answer.outcome for answer in settled.values()} == {Outcome.WRITTEN}
    answered = [call.status for call in sandbox.world.journal if call.operation == "collections.update"]
    assert answered == [200, 200]


def test_a_job_that_takes_too_long_is_ended_so_that_it_sets_nothing_afterwards(
    room: Salesforce, a_room: Rooms, org: stand_in.Salesforce, sandbox: Sandbox
) -> None:
    known, skipping = leads(org, 210), Skipping()
    org.settings.bulk_polls = 1000
    with pytest.raises(RetryLater, match="not done yet"):
        a_room(skipping.pace()).write_many([Change(ref(one), {SCORE: "5"}) for one in known], idle)
    assert 480 < sum(skipping.waits) < 500
    assert {job.state for job in org.snapshot().state.jobs.values()} == {"Aborted"}


def test_a_job_is_waited_for_no_longer_than_until_we_are_to_stop(
    room: Salesforce, a_room: Rooms, org: stand_in.Salesforce
) -> None:
    known, skipping = leads(org, 210), Skipping()
    org.settings.bulk_polls, pace = 1000, skipping.pace()
    with pytest.raises(RetryLater):
        a_room(pace).write_many([Change(ref(one), {SCORE: "5"}) for one in known], pace.stop.set)
    assert sum(skipping.waits) < 2


# --- fields ----------------------------------------------------------------------------------------------------------


def test_fields_are_made_alike_on_both_objects_and_shown_to_our_user(a_room: Rooms, org: stand_in.Salesforce) -> None:
    """A field made by API is hidden from everybody, its maker too (section 5.3); unequal ones could not be mapped."""
    room = a_room()
    room.create(room.specs())
    fields = org.dump()["fields"]
    assert fields["Lead"] == fields["Contact"]
    assert set(fields["Lead"]) == {spec.name for spec in room.specs()}
    (one,) = leads(org, 1)
    assert write(room, one) == [Outcome.WRITTEN]


def test_a_field_that_is_there_but_hidden_is_missing_and_only_shown(
    a_room: Rooms, org: stand_in.Salesforce, sandbox: Sandbox
) -> None:
    room = a_room()
    for kind in ("Lead", "Contact"):
        org.add_field(kind, SCORE, {"label": "Score", "type": "Number", "precision": 5, "scale": 2}, granted=False)
    spec = next(spec for spec in room.specs() if spec.name == SCORE)
    assert room.missing([spec]) == [spec]
    room.create([spec])
    assert room.missing([spec]) == []
    assert not any(effect.kind == "field_defined" for call in sandbox.world.journal for effect in call.effects)


def test_a_field_of_another_type_is_named_with_a_cure(a_room: Rooms, org: stand_in.Salesforce) -> None:
    org.add_field("Lead", SCORE, {"label": "Score", "type": "Checkbox"})
    room = a_room()
    with pytest.raises(NeedsOperator, match=rf"Lead\.{SCORE} is a boolean field.*under write_back"):
        room.missing(room.specs())


# --- tasks for sales -------------------------------------------------------------------------------------------------


def task(key: str, record_id: str) -> SalesTask:
    due = datetime(2026, 12, 1, 9, tzinfo=UTC)
    return SalesTask(key, ref(record_id), "Call Ada", "score 80\n<b>pricing page</b>", due, stand_in.SALES_REP)


def tasks(org: stand_in.Salesforce) -> list[str]:
    return sorted(org.dump()["records"]["Task"])


def test_a_task_is_made_once_and_found_again(room: Salesforce, org: stand_in.Salesforce) -> None:
    one, other = leads(org, 2)
    made = room.create_tasks([task("k1", one), task("k2", other)])
    again = room.create_tasks([task("k1", one), task("k2", other)])
    assert made == again
    assert {answer.outcome for answer in made.values()} == {Outcome.WRITTEN}
    assert tasks(org) == sorted(answer.task_id for answer in made.values())
    row = org.row(made["k1"].task_id)
    assert (row["WhoId"], row["OwnerId"], row["ActivityDate"]) == (one, stand_in.SALES_REP, "2026-12-01")


def test_a_task_whose_answer_was_lost_is_not_made_twice(
    room: Salesforce, org: stand_in.Salesforce, sandbox: Sandbox
) -> None:
    (one,) = leads(org, 1)
    sandbox.world.faults.add(Fault("reset_after", operation="collections.create", times=1))
    assert room.create_tasks([task("k1", one)])["k1"].outcome is Outcome.UNANSWERED
    assert room.create_tasks([task("k1", one)])["k1"].outcome is Outcome.WRITTEN
    assert len(tasks(org)) == 1


def test_what_became_of_a_task_is_read_back(room: Salesforce, org: stand_in.Salesforce) -> None:
    known = leads(org, 3)
    made = room.create_tasks([task(f"k{n}", one) for n, one in enumerate(known)])
    ids = [made[f"k{n}"].task_id for n in range(3)]
    org.edit(ids[0], {"Status": "Completed"})
    org.delete(ids[1])
    states = room.read_tasks([*ids, "nonsense"])
    assert states[ids[0]].done_at is not None
    assert states[ids[1]].gone
    assert (states[ids[2]].done_at, states[ids[2]].gone) == (None, False)
    assert states["nonsense"].gone


def test_a_task_for_nobody_is_told_as_such(room: Salesforce, org: stand_in.Salesforce) -> None:
    one, gone = leads(org, 2)
    org.delete(gone)
    made = room.create_tasks([task("k1", one), task("k2", gone), task("k3", "no id")])
    assert [made[key].outcome for key in ("k1", "k2", "k3")] == [Outcome.WRITTEN, Outcome.GONE, Outcome.REFUSED]


def test_our_own_task_is_no_activity_of_theirs(room: Salesforce, org: stand_in.Salesforce) -> None:
    (one,) = leads(org, 1)
    room.create_tasks([task("k1", one)])
    pages = list(room.pull_activities("tasks", None))
    assert [row for page in pages for row in page.rows] == []
    assert pages[0].skipped == {"task that leadbridge made": 1}

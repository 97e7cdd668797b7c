"""What is peculiar to HubSpot, over the real SDK and real HTTP."""

import json
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pytest
from werkzeug.serving import make_server

from connectors.base import Change, Outcome, Progress
from connectors.batches import HOPELESS
from connectors.hubspot import auth
from connectors.hubspot.connector import HubSpot
from connectors.hubspot.mapping import contact_ref
from leadbridge.call import Pace
from leadbridge.errors import NeedsOperator, Unknown, VendorError
from leadbridge.sandbox.server import Sandbox
from leadbridge.sandbox.world import Fault
from leadbridge.testing import Skipping
from leadbridge.types import Activity, ActivityKind
from tests.helpers import rooms


def room(sandbox: Sandbox, *, fields: dict[str, Any] | None = None, **connection: Any) -> HubSpot:
    return rooms.hubspot(rooms.configuration(sandbox.url, hubspot=connection, fields=fields))


def now() -> datetime:
    return datetime.now(UTC)


def operations(sandbox: Sandbox, since: int = 0) -> list[str]:
    return [call.operation for call in sandbox.world.journal.since(since)]


def activities(found: HubSpot, stream: str) -> list[Activity]:
    return [row for page in found.pull_activities(stream, None) for row in page.rows]


# --- the account -----------------------------------------------------------------------------------------------------


def test_the_account_can_be_pinned(sandbox: Sandbox) -> None:
    assert room(sandbox).account() == str(sandbox.hubspot.portal_id)


def test_where_the_accounts_clock_stands_is_known_from_its_answers_whatever_ours_shows() -> None:
    then = datetime(2026, 3, 1, 12, 30, 15, 999_000, tzinfo=UTC)
    with Sandbox(then) as sandbox:
        found = room(sandbox)
        assert found._api.vendor_now() is None
        found.account()
        stands = found._api.vendor_now()
        assert stands is not None
        assert then - timedelta(seconds=61) <= stands < then


@pytest.mark.parametrize("date", [None, "", "soon", "2026-03-01T12:00:00Z", "Sun, 01 Mar 2026 12:00:00 -0000"])
def test_a_date_that_cannot_be_read_tells_nothing(date: str | None) -> None:
    assert auth._date({} if date is None else {"Date": date}) is None


def test_the_token_is_not_in_the_looks_of_a_room(sandbox: Sandbox) -> None:
    found = room(sandbox, token="pat-na1-aaaaaaaa-1111-2222-3333-bbbbbbbbbbbb")
    assert "pat-na1" not in f"{found!r} {vars(found)!r} {vars(found._api)!r}"


def test_a_redirect_never_carries_the_token_elsewhere(sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.settimeout(0.05)
        location = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/"
        sandbox.world.faults.add(Fault("empty", status=307, headers={"Location": location}, times=100))
        with pytest.raises(Unknown):
            room(sandbox).account()
        with pytest.raises(TimeoutError):
            elsewhere.accept()


@pytest.mark.parametrize("fault", [{"status": 503, "headers": {"Retry-After": "0"}}, {"kind": "reset_before"}])
def test_the_sdk_repeats_nothing_behind_our_back(sandbox: Sandbox, fault: dict[str, Any]) -> None:
    """Its transport repeats a GET with Retry-After three times by itself: uncounted by budgets and deadlines (4)."""
    sandbox.world.faults.add(Fault(**{"kind": "status", "operation": "account.details", "times": 100, **fault}))
    clock = Skipping()
    with pytest.raises(VendorError):
        rooms.hubspot(rooms.configuration(sandbox.url), clock.pace()).account()
    assert operations(sandbox).count("account.details") == len(clock.waits) + 1 > 2  # each of our own tries, no more


def test_a_limit_of_ours_above_the_accounts_is_lowered_by_what_its_answers_say(sandbox: Sandbox) -> None:
    sandbox.hubspot.settings.burst_limit, sandbox.hubspot.settings.burst_seconds = 20, 0.5
    found = rooms.hubspot(rooms.configuration(sandbox.url, hubspot={"requests_per_10s": 10000}), Pace())
    for _ in range(50):
        found.account()
    assert Counter(call.status for call in sandbox.world.journal) == {200: 50}


def test_searches_keep_to_their_own_limit_and_not_to_that_of_calls(sandbox: Sandbox) -> None:
    """Five a second for the whole account, however many calls are allowed (section 13)."""
    sandbox.hubspot.settings.search_per_second = 5
    sandbox.hubspot.settings.burst_limit = 0
    config = rooms.configuration(sandbox.url, hubspot={"searches_per_second": 5, "activities": ["calls"]})
    assert config.connections.hubspot is not None
    found = HubSpot(config.connections.hubspot, config)  # in real time: the sandbox counts by its own clock
    for _ in range(4):
        list(found.pull_leads({"watermark": now().isoformat()}))
        list(found.pull_activities("calls", None))
    searches = [call for call in sandbox.world.journal if call.operation.endswith(".search")]
    assert len(searches) >= 8
    assert {call.status for call in searches} == {200}


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_more_than_ten_thousand_contacts_of_one_millisecond_are_all_found(sandbox: Sandbox) -> None:
    """The walk by id passes the cap of 10,000 hits, where a cursor by date would stand still for ever."""
    fields = {"job_title": {"hubspot": "jobtitle"}}
    long_ago = now() - timedelta(days=9)
    known = [sandbox.hubspot.add_contact({"firstname": f"P{n}"}, created_at=long_ago) for n in range(10_400)]
    progress = {"watermark": (now() - timedelta(days=1)).isoformat()}
    sandbox.hubspot.stamp_contacts(known, now())
    found = {lead.ref.record_id for page in room(sandbox, fields=fields).pull_leads(progress) for lead in page.rows}
    assert found == set(known)
    assert operations(sandbox).count("contacts.search") == 52
    assert operations(sandbox).count("contacts.batch.read") == 104


def test_too_many_properties_for_an_address_are_read_by_batch(sandbox: Sandbox) -> None:
    fields = {f"field_{n}": {"hubspot": f"a_property_with_quite_a_long_name_{n}"} for n in range(60)}
    known = [sandbox.hubspot.add_contact({"firstname": "P", "jobtitle": f"T{n}"}) for n in range(120)]
    found = room(sandbox, fields=fields | {"job_title": {"hubspot": "jobtitle"}})
    titles = {lead.ref.record_id: lead.attributes["job_title"] for page in found.pull_leads(None) for lead in page.rows}
    assert titles == {one: f"T{n}" for n, one in enumerate(known)}
    assert operations(sandbox) == ["contacts.list", "contacts.batch.read"] * 2


@pytest.mark.parametrize("version", ["v3", "2026-09"])
@pytest.mark.parametrize("many", [False, True])
def test_the_first_reading_brings_what_contacts_were_before(sandbox: Sandbox, version: str, *, many: bool) -> None:
    """By list in one call for each fifty; too many properties for an address: by list and batches, each its largest."""
    fields: dict[str, Any] = {"job_title": {"hubspot": "jobtitle"}}
    if many:
        fields |= {f"field_{n}": {"hubspot": f"a_property_with_quite_a_long_name_{n}"} for n in range(60)}
    start = now() - timedelta(days=300)
    sandbox.world.clock.set(start)
    known = [sandbox.hubspot.add_contact({"firstname": "P", "jobtitle": "Intern"}) for _ in range(110)]
    for days, title in ((30, "Clerk"), (200, "Engineer"), (250, "Director"), (260, "Director"), (270, "")):
        sandbox.world.clock.set(start + timedelta(days=days))
        sandbox.hubspot.edit_contact(known[0], {"jobtitle": title})
    sandbox.world.clock.set(now())
    found = room(sandbox, fields=fields, api_version=version, property_history=True)
    pages = list(found.pull_leads(None))
    leads = {lead.ref.record_id: lead for page in pages for lead in page.rows}
    assert sorted(leads) == sorted(known)
    told = [(round((one.at - start) / timedelta(days=1)), one.attributes["job_title"]) for one in leads[known[0]].past]
    assert told == [(30, "Clerk"), (200, "Engineer"), (250, "Director")]  # half a year, and what held before it
    assert operations(sandbox) == (
        ["contacts.list", *["contacts.batch.read"] * 2, "contacts.list", "contacts.batch.read"]
        if many
        else ["contacts.list"] * 3
    )
    before = len(sandbox.world.journal)
    assert not [lead for page in found.pull_leads(pages[-1].progress) for lead in page.rows if lead.past]
    assert "contacts.list" not in operations(sandbox, before)


def test_companies_are_read_once_and_only_when_a_field_needs_them(sandbox: Sandbox) -> None:
    company = sandbox.hubspot.add_company({"name": "Acme", "numberofemployees": "7"})
    known = [sandbox.hubspot.add_contact({"firstname": f"P{n}"}, company_id=company) for n in range(150)]
    assert len(room(sandbox).read_leads([contact_ref(one) for one in known]).found) == 150
    assert operations(sandbox).count("companies.batch.read") == 1
    before = len(sandbox.world.journal)
    room(sandbox, fields={"job_title": {"hubspot": "jobtitle"}}).read_leads([contact_ref(one) for one in known])
    assert "companies.batch.read" not in operations(sandbox, before)


def test_the_primary_company_counts_not_the_first(sandbox: Sandbox) -> None:
    first = sandbox.hubspot.add_company({"name": "Old", "numberofemployees": "1"})
    primary = sandbox.hubspot.add_company({"name": "New", "numberofemployees": "2"})
    one = sandbox.hubspot.add_contact({"firstname": "P"}, company_id=first)
    sandbox.hubspot.add_contact({"firstname": "Q"}, company_id=primary)
    _associate(sandbox, "contacts", one, "companies", primary, 1)
    (lead,) = room(sandbox).read_leads([contact_ref(one)]).found
    assert lead.attributes["employees"] == 2


def _associate(sandbox: Sandbox, kind: str, one: str, other_kind: str, other: str, type_id: int) -> None:
    wanted = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id}
    body = {"inputs": [{"from": {"id": one}, "to": {"id": other}, "types": [wanted]}]}
    rooms.hubspot_api(sandbox, "POST", f"/crm/v4/associations/{kind}/{other_kind}/batch/create", body)


def test_what_the_index_shows_late_comes_with_a_later_pull(sandbox: Sandbox) -> None:
    found = room(sandbox)
    one = sandbox.hubspot.add_contact({"firstname": "P", "jobtitle": "Old"}, created_at=now() - timedelta(days=9))
    progress = list(found.pull_leads(None))[-1].progress
    sandbox.hubspot.settings.index_delay = 60
    sandbox.hubspot.edit_contact(one, {"jobtitle": "New"})
    early = list(found.pull_leads(progress))
    assert all(lead.attributes["job_title"] == "New" for page in early for lead in page.rows)  # a batch read is fresh
    sandbox.world.clock.advance(timedelta(seconds=61))
    late = [lead.attributes["job_title"] for page in found.pull_leads(early[-1].progress) for lead in page.rows]
    assert late == ["New"]


# --- writing ---------------------------------------------------------------------------------------------------------


Bend = Callable[[str, Any, Callable[[Any], Any]], Any]
"""(path, what was asked, how to ask the account) to what is answered."""


@contextmanager
def bent(sandbox: Sandbox, bend: Bend) -> Iterator[str]:
    """The account behind a door that changes what goes in or comes out."""

    def app(environ: Any, start_response: Any) -> Any:
        asked = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)) or b"null")
        heads: list[Any] = []

        def account(question: Any) -> Any:
            body = b"" if question is None else json.dumps(question).encode()
            environ.update({"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))})
            answer = b"".join(sandbox.hubspot.app(environ, lambda *head: heads.append(head)))  # type: ignore[arg-type]
            return json.loads(answer)

        body = json.dumps(bend(environ["PATH_INFO"], asked, account)).encode()
        headers = [pair for pair in heads[-1][1] if pair[0] != "Content-Length"]
        start_response(heads[-1][0], [*headers, ("Content-Length", str(len(body)))])
        return [body]

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.005,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_answer_about_somebody_who_was_not_asked_about_settles_nobody_and_is_shown(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    def confused(path: str, asked: Any, account: Callable[[Any], Any]) -> Any:
        answer = account(asked)
        if path.endswith("/batch/update"):
            answer["results"][0]["id"] = "424242"
        return answer

    known = [sandbox.hubspot.add_contact({"firstname": f"P{n}"}) for n in range(2)]
    room(sandbox).create(room(sandbox).specs())
    with bent(sandbox, confused) as url:
        found = rooms.hubspot(rooms.configuration(url))
        settled = found.write([Change(contact_ref(one), {"leadbridge_score": "5"}) for one in known])
    assert sorted(answer.outcome for answer in settled.values()) == [Outcome.UNANSWERED, Outcome.WRITTEN]
    assert "names records that were not sent" in caplog.text


def test_a_bad_record_is_found_by_halving_and_the_rest_is_written(sandbox: Sandbox) -> None:
    found = room(sandbox)
    found.create(found.specs())
    known = [sandbox.hubspot.add_contact({"firstname": f"P{n}"}) for n in range(100)]
    bad = {known[13], known[77]}
    gone = "99999999"
    changes = [
        Change(contact_ref(one), {"leadbridge_score": "many" if one in bad else "5"}) for one in [*known[:99], gone]
    ]
    sandbox.hubspot.settings.traced_updates = False  # one bad input refuses the whole batch
    before = len(sandbox.world.journal)
    settled = found.write(changes)
    calls = [one for one in operations(sandbox, before) if one == "contacts.batch.update"]
    outcomes = {ref.record_id: answer.outcome for ref, answer in settled.items()}
    assert {one for one, outcome in outcomes.items() if outcome is Outcome.REFUSED} == bad
    assert outcomes[gone] is Outcome.GONE
    assert sum(outcome is Outcome.WRITTEN for outcome in outcomes.values()) == 97
    assert "leadbridge_score" in settled[contact_ref(known[13])].reason
    assert len(calls) <= 2 * 2 * 7 + 1  # a path down for each of the two


def test_what_the_vendor_leaves_out_of_its_answer_is_neither_done_nor_gone(sandbox: Sandbox) -> None:
    known = [sandbox.hubspot.add_contact({"firstname": f"P{n}"}) for n in range(3)]

    def forgetful(path: str, asked: Any, account: Callable[[Any], Any]) -> Any:
        answer = account(asked)
        if "/batch/" in path:
            answer["results"] = [one for one in answer["results"] if one["id"] != known[1]]
        return answer

    with bent(sandbox, forgetful) as url:
        found = rooms.hubspot(rooms.configuration(url))
        settled = found.write([Change(contact_ref(one), {"jobtitle": "x"}) for one in known])
        assert [answer.outcome.value for answer in settled.values()] == ["written", "unanswered", "written"]
        with pytest.raises(Unknown, match="1 of 3 records left out"):
            found.read_leads([contact_ref(one) for one in known])


def test_an_error_that_names_nobody_is_shown_and_blamed_on_nobody(sandbox: Sandbox) -> None:
    one = sandbox.hubspot.add_contact({"firstname": "P"})

    def vague(path: str, asked: Any, account: Callable[[Any], Any]) -> Any:
        return account(asked) | {"results": [], "errors": [{"category": "CONFLICT", "message": "something is wrong"}]}

    with bent(sandbox, vague) as url:
        settled = rooms.hubspot(rooms.configuration(url)).write([Change(contact_ref(one), {"jobtitle": "x"})])
    assert settled[contact_ref(one)].outcome is Outcome.UNANSWERED
    assert settled[contact_ref(one)].reason == "something is wrong"


def test_a_page_of_hits_that_are_all_archived_does_not_end_the_walk(sandbox: Sandbox) -> None:
    known = [sandbox.hubspot.add_contact({"firstname": f"P{n}"}) for n in range(3)]

    def stale_index(path: str, asked: Any, account: Callable[[Any], Any]) -> Any:
        """The first page counts hits that are not there any more (section 6)."""
        if path.endswith("/search") and not asked.get("after"):
            return account(asked) | {"results": [], "paging": {"next": {"after": "200"}}}
        return account({name: value for name, value in (asked or {}).items() if name != "after"} if asked else asked)

    with bent(sandbox, stale_index) as url:
        progress = {"watermark": (now() - timedelta(days=1)).isoformat()}
        pages = list(rooms.hubspot(rooms.configuration(url)).pull_leads(progress))
    assert {lead.ref.record_id for page in pages for lead in page.rows} == set(known)


def test_with_trace_ids_a_bad_record_costs_no_call(sandbox: Sandbox) -> None:
    found = room(sandbox)
    found.create(found.specs())
    known = [sandbox.hubspot.add_contact({"firstname": f"P{n}"}) for n in range(100)]
    before = len(sandbox.world.journal)
    changes = [Change(contact_ref(one), {"leadbridge_score": "x" if one == known[5] else "5"}) for one in known]
    settled = found.write(changes)
    assert [one for one in known if settled[contact_ref(one)].outcome is not Outcome.WRITTEN] == [known[5]]
    assert operations(sandbox, before) == ["contacts.batch.update"]


def test_a_partial_answer_may_come_with_status_200(sandbox: Sandbox) -> None:
    sandbox.hubspot.settings.partial_as_200 = True
    found = room(sandbox, api_version="2026-09")
    one = sandbox.hubspot.add_contact({"firstname": "P"})
    settled = found.write([Change(contact_ref(r), {"jobtitle": "x"}) for r in (one, "99999999")])
    assert [answer.outcome for answer in settled.values()] == [Outcome.WRITTEN, Outcome.GONE]
    assert found.read_leads([contact_ref(one), contact_ref("99999999")]).gone == [contact_ref("99999999")]


@pytest.mark.parametrize(("version", "outcome"), [("v3", Outcome.WRITTEN), ("2026-09", Outcome.REFUSED)])
def test_an_admins_rule_refuses_one_record_and_is_named(sandbox: Sandbox, version: str, outcome: Outcome) -> None:
    sandbox.hubspot.settings.conditional_rules = {"contacts": {"state": "country"}}
    bound = sandbox.hubspot.add_contact({"firstname": "P", "country": "US"})
    free = sandbox.hubspot.add_contact({"firstname": "Q"})
    settled = room(sandbox, api_version=version).write(
        [Change(contact_ref(one), {"jobtitle": "x"}) for one in (bound, free)]
    )
    assert settled[contact_ref(free)].outcome is Outcome.WRITTEN
    assert settled[contact_ref(bound)].outcome is outcome
    if outcome is Outcome.REFUSED:
        assert "state" in settled[contact_ref(bound)].reason


@pytest.mark.parametrize("bad", [[0], [1], [0, 30, 60, 99], range(10, 90)])
def test_a_500_that_hides_a_validation_does_not_hold_up_the_others(sandbox: Sandbox, bad: Sequence[int]) -> None:
    """Wherever they stand in the batch, and however many: the vendor that answers for others is not taken for dead."""
    known = [sandbox.hubspot.add_contact({"firstname": f"P{n}"}) for n in range(100 if len(bad) > 1 else 2)]
    for n in bad:
        sandbox.world.faults.add(
            Fault("status", operation="contacts.batch.update", status=500, times=1000, holding=f'"{known[n]}"')
        )
    settled = room(sandbox).write([Change(contact_ref(one), {"jobtitle": "x"}) for one in known])
    held_up = [n for n, answer in enumerate(settled.values()) if answer.outcome is Outcome.UNANSWERED]
    assert held_up == list(bad)
    assert sum(answer.outcome is Outcome.WRITTEN for answer in settled.values()) == len(known) - len(bad)


@pytest.mark.parametrize("reads", [True, False])
@pytest.mark.parametrize("count", [1, 3, 100])
def test_a_500_for_everybody_is_the_fault_of_nobody(sandbox: Sandbox, count: int, reads: bool) -> None:
    """Where nothing else is answered either; or where so many parts fail that it cannot be the records."""
    known = [sandbox.hubspot.add_contact({"firstname": f"P{n}"}) for n in range(count)]
    operation = "contacts.batch.update" if reads else "*"
    sandbox.world.faults.add(Fault("status", operation=operation, status=500, times=10_000))
    found, changes = room(sandbox), [Change(contact_ref(one), {"jobtitle": "x"}) for one in known]
    if reads and count < HOPELESS:
        assert {answer.outcome for answer in found.write(changes).values()} == {Outcome.UNANSWERED}
        return
    with pytest.raises(Unknown):
        found.write(changes)
    assert len(sandbox.world.journal) < 100


def test_the_lifecycle_stage_really_moves(sandbox: Sandbox) -> None:
    found = room(sandbox)
    one = sandbox.hubspot.add_contact({"firstname": "P", "lifecyclestage": "lead"})
    (lead,) = found.read_leads([contact_ref(one)]).found
    changes = found.changes({"stage": "sql"}, lead.written)
    found.write([Change(contact_ref(one), changes)])
    (lead,) = found.read_leads([contact_ref(one)]).found
    assert lead.attributes["lifecycle_stage"] == "sql"
    assert found.changes({"stage": "mql"}, lead.written) == {}


# --- properties ------------------------------------------------------------------------------------------------------


def test_properties_are_made_in_a_group_of_their_own_with_fitting_types(sandbox: Sandbox) -> None:
    found = room(sandbox)
    found.create(found.specs())
    made = sandbox.hubspot.dump()["properties"]["contacts"]
    assert {one["group"] for one in made.values()} == {"leadbridge"}
    shapes = {name: (one["type"], one["fieldType"]) for name, one in made.items()}
    assert shapes == {
        "leadbridge_score": ("number", "number"),
        "leadbridge_fit": ("number", "number"),
        "leadbridge_grade": ("enumeration", "select"),
        "leadbridge_reasons": ("string", "textarea"),
    }


def test_a_property_of_another_type_is_not_touched_and_named(sandbox: Sandbox) -> None:
    sandbox.hubspot.add_property("contacts", {"name": "leadbridge_score", "type": "string", "fieldType": "text"})
    found = room(sandbox)
    for act in (found.missing, found.create):
        with pytest.raises(NeedsOperator, match=r"leadbridge_score is a string property, a number one is needed"):
            act(found.specs())
    assert set(sandbox.hubspot.dump()["properties"]["contacts"]) == {"leadbridge_score"}


def test_a_choice_that_lacks_an_option_gets_it_and_keeps_its_own(sandbox: Sandbox) -> None:
    options = [{"label": one, "value": one, "displayOrder": n, "hidden": False} for n, one in enumerate("AX")]
    definition = {"name": "leadbridge_grade", "type": "enumeration", "fieldType": "select", "options": options}
    sandbox.hubspot.add_property("contacts", definition)
    found = room(sandbox)
    lacking = [spec for spec in found.missing(found.specs()) if spec.name == "leadbridge_grade"]
    assert lacking
    found.create(lacking)
    assert found.missing(lacking) == []
    grade = rooms.hubspot_api(sandbox, "GET", "/crm/v3/properties/contacts/leadbridge_grade")
    assert [option["value"] for option in grade["options"]] == ["A", "X", "B", "C"]


# --- activity --------------------------------------------------------------------------------------------------------


def test_nothing_counts_twice_when_two_sources_tell_of_it(sandbox: Sandbox) -> None:
    one = sandbox.hubspot.add_contact({"email": "dana@acme.example"})
    sandbox.hubspot.add_event(one, "e_form_submission_v2", now(), {})
    sandbox.hubspot.add_event(one, "e_form_view", now(), {})
    sandbox.hubspot.add_event(one, "e_visited_page", now(), {"hs_url": "https://acme.example/"})
    sandbox.hubspot.add_event(one, "pe62515_demo_booked", now(), {})
    both = activities(room(sandbox), "events")
    assert sorted(activity.kind for activity in both) == [ActivityKind.OTHER, ActivityKind.PAGE_VIEW]
    alone = activities(room(sandbox, activities=["events"]), "events")
    assert ActivityKind.FORM_SUBMITTED in {activity.kind for activity in alone}


def test_events_that_arrive_a_few_hours_late_are_found(sandbox: Sandbox) -> None:
    found = room(sandbox)
    one = sandbox.hubspot.add_contact({"firstname": "P"})
    progress = list(found.pull_activities("events", None))[-1].progress
    sandbox.hubspot.add_event(one, "e_visited_page", now() - timedelta(hours=20), {})
    assert sum(len(page.rows) for page in found.pull_activities("events", progress)) == 1


def test_the_first_pull_reaches_back_as_far_as_configured(sandbox: Sandbox) -> None:
    one = sandbox.hubspot.add_contact({"email": "dana@acme.example"})
    form = sandbox.hubspot.add_form("Demo")
    for days in (1, 29, 31):
        at = now() - timedelta(days=days)
        sandbox.hubspot.add_event(one, "e_visited_page", at, {})
        sandbox.hubspot.add_form_submission(form, at, {"email": "dana@acme.example"})
        sandbox.hubspot.add_email_event("OPEN", "dana@acme.example", at)
    found = room(sandbox, history="30d")
    for stream in ("events", "forms", "email_events"):
        assert len(activities(found, stream)) == 2, stream


def test_what_promises_very_many_pages_is_read_in_shares_and_everything_else_page_by_page(sandbox: Sandbox) -> None:
    one = sandbox.hubspot.add_contact({"firstname": "P"})
    found = room(sandbox, history="150d")

    def visits(*ago: timedelta) -> set[str]:
        return {sandbox.hubspot.add_event(one, "e_visited_page", now() - each, {}) for each in ago}

    def calls() -> int:
        before = len(sandbox.world.journal)
        list(found.pull_activities("events", None))
        return operations(sandbox, before).count("events.list")

    made = visits(*(timedelta(days=n, hours=1) for n in range(2, 102)))
    of_a_page_each = calls()
    made |= visits(*(timedelta(days=n, hours=2) for n in range(2, 149)))
    assert calls() == of_a_page_each + 2  # evenly over its time: three pages, and no more to be expected
    made |= visits(*(timedelta(minutes=n) for n in range(1, 101)))
    assert calls() == of_a_page_each + 6  # at the pace of the first page there would be 2,000

    read: set[str] = set()
    progress: Progress | None = None
    for _ in range(20):  # each process sees one page
        page = next(iter(found.pull_activities("events", progress)))
        progress = page.progress
        read |= {row.source_id for row in page.rows}
        if "open" not in progress:
            break
    assert read == made


def test_a_page_token_the_vendor_forgot_begins_that_part_anew(sandbox: Sandbox) -> None:
    one = sandbox.hubspot.add_contact({"firstname": "P"})
    sandbox.hubspot.add_event(one, "e_visited_page", now() - timedelta(hours=2), {})
    stale = {
        "started": now().isoformat(),
        "low": (now() - timedelta(days=30)).isoformat(),
        "part": "e_visited_page",
        "after": "forgotten",
    }
    assert sum(len(page.rows) for page in room(sandbox).pull_activities("events", stale)) >= 1


def test_a_meeting_belongs_to_everyone_who_was_there(sandbox: Sandbox) -> None:
    one, other = (sandbox.hubspot.add_contact({"firstname": name}) for name in "PQ")
    outcome = {"hs_timestamp": now().isoformat(), "hs_meeting_outcome": "NO_SHOW"}
    meeting = sandbox.hubspot.add_engagement("meetings", one, outcome)
    _associate(sandbox, "meetings", meeting, "contacts", other, 200)
    for version in ("v3", "2026-09"):
        found = activities(room(sandbox, api_version=version), "meetings")
        assert {activity.subject for activity in found} == {f"hubspot:contact:{one}", f"hubspot:contact:{other}"}
        assert {activity.attributes["outcome"] for activity in found} == {"no_show"}


def test_a_meeting_that_was_scheduled_and_then_held_is_two_facts(sandbox: Sandbox) -> None:
    contact = sandbox.hubspot.add_contact({"firstname": "P"})
    told = {"hs_timestamp": now().isoformat(), "hs_meeting_outcome": "SCHEDULED"}
    meeting = sandbox.hubspot.add_engagement("meetings", contact, told)
    (before,) = activities(room(sandbox), "meetings")
    rooms.hubspot_api(
        sandbox, "PATCH", f"/crm/v3/objects/meetings/{meeting}", {"properties": {"hs_meeting_outcome": "COMPLETED"}}
    )
    (after,) = activities(room(sandbox), "meetings")
    assert before.source_id != after.source_id
    assert after.attributes["outcome"] == "completed"


def test_what_is_not_counted_is_accounted_for(sandbox: Sandbox) -> None:
    form = sandbox.hubspot.add_form("Demo")
    sandbox.hubspot.add_form_submission(form, now(), {"email": "not an address"})
    sandbox.hubspot.add_form_submission(form, now(), {"firstname": "Dana"})
    (page,) = room(sandbox).pull_activities("forms", None)
    assert page.rows == []
    assert page.skipped == {"submission without an e-mail address": 2}


def test_a_source_nobody_knows_is_named(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="no source 'tweets'"):
        room(sandbox).pull_activities("tweets", None)

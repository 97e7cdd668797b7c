"""What people log in HubSpot as records, and its lists, as activity; over the real SDK and both path families."""

from datetime import UTC, datetime, timedelta

import pytest

from connectors.base import SalesTask
from connectors.hubspot.connector import HubSpot
from connectors.hubspot.mapping import contact_ref
from leadbridge.errors import FeatureMissing
from leadbridge.sandbox.server import Sandbox
from leadbridge.types import Activity, ActivityKind
from tests.helpers import rooms


@pytest.fixture(params=["v3", "2026-09"])
def room(request: pytest.FixtureRequest, sandbox: Sandbox) -> HubSpot:
    return rooms.hubspot(rooms.configuration(sandbox.url, hubspot={"api_version": request.param}))


def now() -> datetime:
    return datetime.now(UTC)


def pulled(room: HubSpot, stream: str) -> list[Activity]:
    return [row for page in room.pull_activities(stream, None) for row in page.rows]


# --- deals -----------------------------------------------------------------------------------------------------------


def test_every_stage_of_a_deal_is_told_and_a_won_one_is_a_purchase(sandbox: Sandbox, room: HubSpot) -> None:
    one, other = (sandbox.hubspot.add_contact({"firstname": name}) for name in "PQ")
    deal = sandbox.hubspot.add_deal(
        {"dealname": "D", "dealstage": "appointmentscheduled", "pipeline": "default", "amount": "1200.50"}, [one, other]
    )
    sandbox.world.clock.advance(timedelta(days=1))
    sandbox.hubspot.edit_deal(deal, {"dealstage": "closedwon"})
    sandbox.world.clock.advance(timedelta(seconds=1))
    found = pulled(room, "deals")
    moves = [row for row in found if row.kind is ActivityKind.DEAL_STAGE_CHANGED]
    assert {(row.subject, row.attributes["stage"], row.attributes["won"]) for row in moves} == {
        (contact_ref(who).key, stage, stage == "closedwon")
        for who in (one, other)
        for stage in ("appointmentscheduled", "closedwon")
    }
    purchases = [row for row in found if row.kind is ActivityKind.PURCHASE]
    assert {(row.subject, row.attributes["amount"]) for row in purchases} == {
        (contact_ref(one).key, 1200.5),
        (contact_ref(other).key, 1200.5),
    }
    assert {row.at for row in purchases} == {row.at for row in moves if row.attributes["stage"] == "closedwon"}


def test_a_deal_read_again_tells_only_what_is_new(sandbox: Sandbox, room: HubSpot) -> None:
    one = sandbox.hubspot.add_contact({"firstname": "P"})
    deal = sandbox.hubspot.add_deal({"dealname": "D", "dealstage": "closedwon", "amount": "5"}, [one])
    first = {row.source_id for row in pulled(room, "deals")}
    sandbox.hubspot.edit_deal(deal, {"amount": "7"})
    assert {row.source_id for row in pulled(room, "deals")} == first  # the store keeps one of each
    sandbox.hubspot.edit_deal(deal, {"dealstage": "closedlost"})
    again = pulled(room, "deals")
    assert {row.attributes["stage"] for row in again if row.source_id not in first} == {"closedlost"}
    assert ActivityKind.PURCHASE not in {row.kind for row in again}


def test_a_deal_of_nobody_is_accounted_for(sandbox: Sandbox, room: HubSpot) -> None:
    sandbox.hubspot.add_deal({"dealname": "D", "dealstage": "closedwon"})
    (page,) = room.pull_activities("deals", None)
    assert page.rows == []
    assert page.skipped == {"deals without a contact": 1}


def test_many_deals_cost_a_read_for_each_fifty(sandbox: Sandbox, room: HubSpot) -> None:
    one = sandbox.hubspot.add_contact({"firstname": "P"})
    for n in range(120):
        sandbox.hubspot.add_deal({"dealname": f"D{n}", "dealstage": "qualifiedtobuy"}, [one])
    before = len(sandbox.world.journal)
    assert len(pulled(room, "deals")) == 120
    made = [call.operation for call in sandbox.world.journal.since(before)]
    assert sorted(made) == sorted(
        ["pipelines.list", "deals.search", "associations.batch.read", *["deals.batch.read"] * 3]
    )


# --- engagements and tickets -----------------------------------------------------------------------------------------


LOGGED = {
    "emails": ({"hs_email_direction": "INCOMING_EMAIL", "hs_email_status": "SENT"}, ActivityKind.OTHER),
    "communications": ({"hs_communication_channel_type": "WHATS_APP"}, ActivityKind.CHAT),
    "tasks": ({"hs_task_status": "COMPLETED", "hs_task_type": "CALL"}, ActivityKind.TASK),
    "notes": ({"hs_note_body": "secret words"}, ActivityKind.OTHER),
}


@pytest.mark.parametrize("stream", LOGGED)
def test_what_is_logged_is_dated_by_itself_and_tells_no_bodies(sandbox: Sandbox, room: HubSpot, stream: str) -> None:
    properties, kind = LOGGED[stream]
    one = sandbox.hubspot.add_contact({"firstname": "P"})
    long_ago = (now() - timedelta(days=400)).replace(microsecond=0)
    sandbox.hubspot.add_engagement(stream, one, {"hs_timestamp": long_ago.isoformat(), **properties})
    (found,) = pulled(room, stream)
    assert (found.kind, found.at, found.subject) == (kind, long_ago, contact_ref(one).key)
    assert found.source == f"hubspot.{stream}"
    assert "secret" not in repr(found)


def test_a_mail_of_the_person_is_told_from_one_that_was_sent_to_them(sandbox: Sandbox, room: HubSpot) -> None:
    one = sandbox.hubspot.add_contact({"firstname": "P"})
    at = {"hs_timestamp": now().isoformat()}
    for direction, status in (("EMAIL", "SENT"), ("EMAIL", "BOUNCED"), ("INCOMING_EMAIL", "SENT")):
        sandbox.hubspot.add_engagement("emails", one, at | {"hs_email_direction": direction, "hs_email_status": status})
    assert sorted(row.kind.value for row in pulled(room, "emails")) == ["email_bounced", "email_sent", "other"]


def test_a_task_that_we_made_says_nothing_about_the_person(sandbox: Sandbox, room: HubSpot) -> None:
    one = sandbox.hubspot.add_contact({"firstname": "P"})
    room.create_tasks([SalesTask("k1", contact_ref(one), "Call", "why", now() + timedelta(hours=4))])
    (page,) = room.pull_activities("tasks", None)
    assert page.rows == []
    assert page.skipped == {"tasks made by leadbridge": 1}


def test_a_ticket_opened_and_then_closed_is_two_facts(sandbox: Sandbox, room: HubSpot) -> None:
    one = sandbox.hubspot.add_contact({"firstname": "P"})
    ticket = sandbox.hubspot.add_ticket({"subject": "Broken", "hs_ticket_priority": "HIGH"}, [one])
    (before,) = pulled(room, "tickets")
    rooms.hubspot_api(
        sandbox, "PATCH", f"/crm/v3/objects/tickets/{ticket}", {"properties": {"closed_date": now().isoformat()}}
    )
    (after,) = pulled(room, "tickets")
    assert before.kind is after.kind is ActivityKind.SUPPORT_TICKET
    assert [before.attributes["outcome"], after.attributes["outcome"]] == ["opened", "closed"]
    assert before.attributes["ticket"] == after.attributes["ticket"] == ticket
    assert before.attributes["priority"] == "high"
    assert before.source_id != after.source_id


@pytest.mark.parametrize("stream", ["deals", "tickets", "lists"])
def test_a_source_the_token_may_not_read_is_switched_off(sandbox: Sandbox, stream: str) -> None:
    sandbox.hubspot.tokens.add("pat-na1-contacts", scopes=["crm.objects.contacts.read"])
    config = rooms.configuration(sandbox.url, hubspot={"token": "pat-na1-contacts"})
    with pytest.raises(FeatureMissing, match="scope"):
        list(rooms.hubspot(config).pull_activities(stream, None))


# --- lists -----------------------------------------------------------------------------------------------------------


def test_joining_a_list_is_told_and_lists_are_read_once_a_day(sandbox: Sandbox, room: HubSpot) -> None:
    members = [sandbox.hubspot.add_contact({"firstname": f"P{n}"}) for n in range(260)]
    webinar = sandbox.hubspot.add_list("Webinar")
    for n, one in enumerate(members):
        sandbox.hubspot.add_list_member(webinar, one, now() - timedelta(hours=n))
    pages = list(room.pull_activities("lists", None))
    found = {row.subject: row for page in pages for row in page.rows}
    assert set(found) == {contact_ref(one).key for one in members}
    assert {row.attributes["list"] for row in found.values()} == {"Webinar"}
    assert found[contact_ref(members[0]).key].kind is ActivityKind.LIST_JOINED
    before = len(sandbox.world.journal)
    assert list(room.pull_activities("lists", pages[-1].progress)) == []
    assert len(sandbox.world.journal) == before


def test_a_round_of_lists_killed_after_any_page_misses_nobody(sandbox: Sandbox, room: HubSpot) -> None:
    members = [sandbox.hubspot.add_contact({"firstname": f"P{n}"}) for n in range(300)]
    for name in ("A", "B"):
        one = sandbox.hubspot.add_list(name)
        for member in members:
            sandbox.hubspot.add_list_member(one, member, now())
    found: set[str] = set()
    progress = None
    for _ in range(4):  # at most: what is there at the same time comes as one page
        page = next(iter(room.pull_activities("lists", progress)), None)
        if page is None:
            break
        found |= {row.source_id for row in page.rows}
        progress = page.progress
    assert len(found) == 600


def test_only_the_lists_named_are_read(sandbox: Sandbox) -> None:
    one = sandbox.hubspot.add_contact({"firstname": "P"})
    for name in ("Webinar", "Everybody"):
        sandbox.hubspot.add_list_member(sandbox.hubspot.add_list(name), one, now())
    room = rooms.hubspot(rooms.configuration(sandbox.url, hubspot={"lists": ["webinar"]}))
    assert [row.attributes["list"] for row in pulled(room, "lists")] == ["Webinar"]

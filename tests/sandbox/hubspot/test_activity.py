"""Events, forms, e-mail events, owners, lists, consent."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import requests

from leadbridge.sandbox.server import Sandbox

Api = Callable[..., requests.Response]
AT = datetime(2026, 11, 1, tzinfo=UTC)
EVENTS = "/events/v3/events"


def events(sandbox: Sandbox, count: int) -> tuple[str, list[str]]:
    contact = sandbox.hubspot.add_contact({"email": "ann@x.com"})
    add = sandbox.hubspot.add_event
    return contact, [add(contact, "e_visited_page", AT + timedelta(hours=n), {"hs_url": f"/{n}"}) for n in range(count)]


def test_events_are_403_unless_enterprise(sandbox: Sandbox, api: Api) -> None:
    sandbox.hubspot.settings.enterprise = False
    assert api("GET", EVENTS).status_code == 403
    assert api("GET", f"{EVENTS}/event-types").status_code == 403


def test_events_are_paged_newest_first(sandbox: Sandbox, api: Api) -> None:
    _, ids = events(sandbox, 5)
    first = api("GET", "/events/event-occurrences/2026-09", params={"limit": 3}).json()
    assert [row["id"] for row in first["results"]] == ids[:1:-1]
    second = api("GET", EVENTS, params={"limit": 3, "after": first["paging"]["next"]["after"]}).json()
    assert [row["id"] for row in second["results"]] == ids[1::-1]
    assert "paging" not in second
    assert [row["id"] for row in api("GET", EVENTS, params={"sort": "occurredAt"}).json()["results"]] == ids


def test_an_event_arriving_late_shifts_no_page(sandbox: Sandbox, api: Api) -> None:
    contact, ids = events(sandbox, 4)
    first = api("GET", EVENTS, params={"limit": 2, "sort": "occurredAt"}).json()
    sandbox.hubspot.add_event(contact, "e_visited_page", AT - timedelta(days=1), {})
    after = first["paging"]["next"]["after"]
    second = api("GET", EVENTS, params={"limit": 2, "sort": "occurredAt", "after": after}).json()
    assert [row["id"] for row in first["results"] + second["results"]] == ids


def test_events_by_window_type_and_person(sandbox: Sandbox, api: Api) -> None:
    contact, ids = events(sandbox, 5)
    other = sandbox.hubspot.add_contact({"email": "bob@x.com"})
    sandbox.hubspot.add_event(other, "e_form_view", AT, {})
    window = {"occurredAfter": "2026-11-01T01:00:00Z", "occurredBefore": "2026-11-01T02:00:00Z"}
    assert [row["id"] for row in api("GET", EVENTS, params=window).json()["results"]] == [ids[2], ids[1]]
    for wanted in (
        {"objectType": "contact", "objectId": contact},
        {"objectProperty.email": "ann@x.com"},
        {"eventType": "e_visited_page"},
    ):
        assert len(api("GET", EVENTS, params=wanted).json()["results"]) == 5
    assert len(api("GET", EVENTS, params={"property.hs_url": "/3"}).json()["results"]) == 1
    assert "e_form_view" in api("GET", f"{EVENTS}/event-types").json()["eventTypes"]


def test_submissions_come_newest_first_20_a_page(sandbox: Sandbox, api: Api) -> None:
    form = sandbox.hubspot.add_form("Contact us")
    for n in range(25):
        sandbox.hubspot.add_form_submission(form, AT + timedelta(minutes=n), {"email": f"p{n}@x.com"}, "https://x.com")
    path = f"/form-integrations/v1/submissions/forms/{form}"
    page = api("GET", path).json()
    assert len(page["results"]) == 20
    assert page["results"][0]["values"] == [{"name": "email", "value": "p24@x.com", "objectTypeId": "0-1"}]
    assert page["results"][0]["submittedAt"] == 1793492640000
    rest = api("GET", path, params={"after": page["paging"]["next"]["after"]}).json()
    assert (len(rest["results"]), "paging" in rest) == (5, False)
    assert api("GET", path, params={"limit": 51}).status_code == 400
    assert [row["id"] for row in api("GET", "/marketing/forms/2026-09-beta").json()["results"]] == [form]
    assert api("GET", "/form-integrations/v1/submissions/forms/none").status_code == 404


def test_email_events_by_window_and_offset(sandbox: Sandbox, api: Api) -> None:
    add = sandbox.hubspot.add_email_event
    for n in range(5):
        add("OPEN", "ann@x.com", AT + timedelta(hours=n), filtered=n == 0)
    add("CLICK", "bob@x.com", AT, url="https://x.com")
    path = "/email/public/v1/events"
    first = api("GET", path, params={"recipient": "ann@x.com", "limit": 4}).json()
    assert (len(first["events"]), first["hasMore"]) == (4, True)
    last = api("GET", path, params={"recipient": "ann@x.com", "limit": 4, "offset": first["offset"]}).json()
    assert [(row["type"], row["filteredEvent"]) for row in last["events"]] == [("OPEN", True)]
    assert last["hasMore"] is False
    assert api("GET", path, params={"eventType": "CLICK"}).json()["events"][0]["url"] == "https://x.com"
    since = str(int((AT + timedelta(hours=4)).timestamp() * 1000))
    assert len(api("GET", path, params={"startTimestamp": since}).json()["events"]) == 1


def test_an_owner_is_known_by_its_id_which_is_not_the_user_id(sandbox: Sandbox, api: Api) -> None:
    owner = sandbox.hubspot.add_owner("sam@x.com", "Sam", "Sales")
    [row] = api("GET", "/crm/v3/owners/").json()["results"]
    assert row["id"] == owner
    assert row["userId"] != int(owner)
    assert api("GET", f"/crm/owners/2026-09/{owner}").json()["email"] == "sam@x.com"
    assert api("GET", "/crm/v3/owners", params={"email": "other@x.com"}).json()["results"] == []


def test_list_members_by_id_and_by_when_they_joined(sandbox: Sandbox, api: Api) -> None:
    ids = [sandbox.hubspot.add_contact({"email": f"p{n}@x.com"}) for n in range(3)]
    members = sandbox.hubspot.add_list("Newsletter")
    for hours, contact in ((3, ids[0]), (1, ids[1])):
        sandbox.hubspot.add_list_member(members, contact, AT + timedelta(hours=hours))
    path = f"/crm/lists/2026-09/{members}/memberships"
    assert [row["recordId"] for row in api("GET", path).json()["results"]] == ids[:2]
    assert [row["recordId"] for row in api("GET", f"{path}/join-order").json()["results"]] == [ids[1], ids[0]]
    body = {"recordIdsToAdd": [ids[2], "5"], "recordIdsToRemove": [ids[0]]}
    assert api("PUT", f"{path}/add-and-remove", json=body).json() == {
        "recordsIdsAdded": [ids[2]],
        "recordsIdsRemoved": [ids[0]],
        "recordIdsMissing": ["5"],
    }
    of_record = api("GET", f"/crm/v3/lists/records/0-1/{ids[2]}/memberships").json()["results"]
    assert [row["listId"] for row in of_record] == [members]


def test_a_list_that_fills_itself_cannot_be_changed(sandbox: Sandbox, api: Api) -> None:
    members = sandbox.hubspot.add_list("Everybody", processing_type="DYNAMIC")
    assert api("PUT", f"/crm/v3/lists/{members}/memberships/add-and-remove", json={}).status_code == 400


def test_consent(sandbox: Sandbox, api: Api) -> None:
    sandbox.hubspot.add_contact({"email": "ann@x.com", "hs_email_optout": "true"})
    path = "/communication-preferences/2026-09/statuses"
    statuses = {
        email: api("GET", f"{path}/{email}?channel=EMAIL").json()["results"][0]["status"]
        for email in ("ann@x.com", "who@x.com")
    }
    assert statuses == {"ann@x.com": "UNSUBSCRIBED", "who@x.com": "NOT_SPECIFIED"}
    wide = api("GET", f"{path}/ann@x.com/unsubscribe-all?channel=EMAIL").json()["results"][0]
    assert wide["status"] == "UNSUBSCRIBED"

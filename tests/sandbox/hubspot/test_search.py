"""Search: its lag, its cap, its filters."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from leadbridge.sandbox.server import Sandbox

Api = Callable[..., requests.Response]
PATH = "/crm/v3/objects/contacts/search"
AT = datetime(2026, 11, 1, tzinfo=UTC)


def one_filter(name: str, operator: str, **more: Any) -> dict[str, Any]:
    return {"filterGroups": [{"filters": [{"propertyName": name, "operator": operator, **more}]}]}


def found(api: Api, body: dict[str, Any]) -> list[str]:
    answer = api("POST", PATH, json=body)
    assert answer.status_code == 200, answer.text
    return [row["properties"]["email"].partition("@")[0] for row in answer.json()["results"]]


@pytest.fixture
def three(sandbox: Sandbox) -> list[str]:
    add = sandbox.hubspot.add_contact
    return [
        add({"email": "ann@x.com", "jobtitle": "Head of IT", "hs_email_open": "9"}, created_at=AT),
        add({"email": "bob@x.com", "jobtitle": "Developer", "hs_email_open": "10"}, created_at=AT + timedelta(days=1)),
        add({"email": "eve@y.org"}, created_at=AT + timedelta(days=2)),
    ]


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (one_filter("email", "EQ", value="ANN@x.com"), ["ann"]),
        (one_filter("hs_email_open", "GT", value="9"), ["bob"]),  # as numbers, not as text
        (one_filter("hs_email_open", "BETWEEN", value="1", highValue="9"), ["ann"]),
        (one_filter("jobtitle", "HAS_PROPERTY"), ["ann", "bob"]),
        (one_filter("jobtitle", "NOT_HAS_PROPERTY"), ["eve"]),
        (one_filter("jobtitle", "NEQ", value="Developer"), ["ann", "eve"]),
        (one_filter("jobtitle", "IN", values=["developer"]), ["bob"]),
        (one_filter("jobtitle", "NOT_IN", values=["developer"]), ["ann", "eve"]),
        (one_filter("jobtitle", "CONTAINS_TOKEN", value="it"), ["ann"]),
        (one_filter("email", "CONTAINS_TOKEN", value="*@x.com"), ["ann", "bob"]),
        (one_filter("createdate", "LTE", value="2026-11-02T00:00:00Z"), ["ann", "bob"]),
        (one_filter("createdate", "GTE", value="1793577600000"), ["bob", "eve"]),
        (one_filter("hs_lastmodifieddate", "GT", value="0"), []),  # contacts call it lastmodifieddate
        ({"query": "Y.org"}, ["eve"]),
        ({}, ["ann", "bob", "eve"]),
    ],
)
def test_filters(api: Api, three: list[str], filters: dict[str, Any], names: list[str]) -> None:
    assert found(api, {**filters, "properties": ["email"]}) == names


def test_groups_are_or_and_filters_are_and(api: Api, three: list[str]) -> None:
    groups = [
        {
            "filters": [
                {"propertyName": "hs_email_open", "operator": "GT", "value": "5"},
                {"propertyName": "jobtitle", "operator": "EQ", "value": "Developer"},
            ]
        },
        {"filters": [{"propertyName": "email", "operator": "EQ", "value": "eve@y.org"}]},
    ]
    assert found(api, {"filterGroups": groups}) == ["bob", "eve"]


def test_ids_are_compared_as_numbers(sandbox: Sandbox, api: Api) -> None:
    ids = [sandbox.hubspot.add_contact({"email": f"p{n}@x.com"}) for n in range(60)]
    assert (ids[0], ids[-1]) == ("951", "1010")
    body = {**one_filter("hs_object_id", "GT", value="998"), "limit": 100, "properties": ["email"]}
    assert len(found(api, body)) == 12
    body["sorts"] = [{"propertyName": "hs_object_id", "direction": "DESCENDING"}]
    assert found(api, body)[0] == "p59"


def test_association_filter(sandbox: Sandbox, api: Api) -> None:
    company = sandbox.hubspot.add_company({"name": "X"})
    sandbox.hubspot.add_contact({"email": "ann@x.com"}, company_id=company)
    sandbox.hubspot.add_contact({"email": "bob@x.com"})
    assert found(api, one_filter("associations.company", "EQ", value=company)) == ["ann"]


def test_changes_are_found_only_after_the_delay(sandbox: Sandbox, api: Api, three: list[str]) -> None:
    sandbox.hubspot.settings.index_delay = 10
    api("PATCH", f"/crm/v3/objects/contacts/{three[2]}", json={"properties": {"jobtitle": "Developer"}})
    wanted = one_filter("jobtitle", "EQ", value="Developer")
    assert found(api, wanted) == ["bob"]
    assert api("GET", f"/crm/v3/objects/contacts/{three[2]}?properties=jobtitle").json()["properties"]["jobtitle"]
    sandbox.world.clock.advance(timedelta(seconds=11))
    assert found(api, wanted) == ["bob", "eve"]


def test_an_archived_hit_is_still_counted_but_not_shown(sandbox: Sandbox, api: Api, three: list[str]) -> None:
    sandbox.hubspot.settings.index_delay = 10
    sandbox.hubspot.archive_contact(three[0])
    answer = api("POST", PATH, json=one_filter("email", "EQ", value="ann@x.com")).json()
    assert (answer["total"], answer["results"]) == (1, [])


def test_12000_with_one_stamp_are_reached_only_by_id(sandbox: Sandbox, api: Api) -> None:
    ids = [sandbox.hubspot.add_contact({"email": f"p{n}@x.com"}) for n in range(12_000)]
    sandbox.hubspot.stamp_contacts(ids, AT)
    window = {"propertyName": "lastmodifieddate", "operator": "GTE", "value": str(int(AT.timestamp() * 1000))}
    body: dict[str, Any] = {"limit": 200, "properties": ["email"], "filterGroups": [{"filters": [window]}]}
    last = api("POST", PATH, json={**body, "after": "9800"}).json()
    assert (last["total"], len(last["results"])) == (12_000, 200)
    assert api("POST", PATH, json={**body, "after": "10000"}).status_code == 400
    by_id = {"propertyName": "hs_object_id", "operator": "GT", "value": last["results"][-1]["id"]}
    rest = api("POST", PATH, json={**body, "filterGroups": [{"filters": [window, by_id]}]}).json()
    assert rest["total"] == 2_000


@pytest.mark.parametrize(
    "body",
    [
        {"limit": 201},
        {"after": "abc"},
        {"filterGroups": [{"filters": []}] * 6},
        {"filterGroups": [{"filters": [{"propertyName": "email", "operator": "HAS_PROPERTY"}] * 7}]},
        {"filterGroups": [{"filters": [{"propertyName": "email", "operator": "HAS_PROPERTY"}] * 5}] * 4},
        {"sorts": ["email", "-createdate"]},
        {"properties": ["x" * 3000]},
        one_filter("email", "LIKE", value="x"),
        one_filter("hs_email_open", "GT", value="many"),
        one_filter("email", "EQ"),
    ],
)
def test_what_search_refuses(api: Api, body: dict[str, Any]) -> None:
    assert api("POST", PATH, json=body).status_code == 400


def test_a_bad_after_is_told_as_hubspot_does(api: Api) -> None:
    message = api("POST", PATH, json={"after": "abc"}).json()["message"]
    assert "Cannot deserialize value of type" in message


def test_limit_may_be_text(api: Api, three: list[str]) -> None:
    answer = api("POST", PATH, json={"limit": "2"}).json()
    assert len(answer["results"]) == 2
    assert answer["paging"]["next"]["after"] == "2"


def test_five_searches_a_second_for_the_whole_account(sandbox: Sandbox, api: Api) -> None:
    sandbox.hubspot.settings.search_per_second = 5
    sandbox.hubspot.tokens.add("other")
    statuses = [
        api("POST", PATH, json={}, token=token).status_code for token in ("other", *["sandbox-hubspot-token"] * 5)
    ]
    assert statuses == [200] * 5 + [429]
    refused = api("POST", PATH, json={})
    assert refused.json()["message"] == "You have reached your secondly limit."
    assert refused.json()["category"] == "RATE_LIMITS"
    assert not [name for name in refused.headers if name.lower().startswith("x-hubspot-ratelimit")]
    assert "Retry-After" not in refused.headers
    sandbox.world.clock.advance(timedelta(seconds=1))
    assert api("POST", PATH, json={}).status_code == 200


def test_activities_are_searched_by_their_own_modified_date(sandbox: Sandbox, api: Api) -> None:
    contact = sandbox.hubspot.add_contact({"email": "a@x.com"})
    meeting = sandbox.hubspot.add_engagement("meetings", contact, {"hs_meeting_outcome": "COMPLETED"})
    answer = api(
        "POST", "/crm/objects/2026-09/meetings/search", json=one_filter("hs_lastmodifieddate", "GT", value="0")
    )
    assert [row["id"] for row in answer.json()["results"]] == [meeting]
    assert list(sandbox.world.journal)[-1].operation == "meetings.search"

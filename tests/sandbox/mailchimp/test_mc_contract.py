"""Answers against Mailchimp's own contract, where it is at hand: inlined Swagger 2.0, which a few lines can judge."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from leadbridge.sandbox.mailchimp import Mailchimp
from tests.sandbox.mailchimp.conftest import LIST, NOW, Api, Receiver, hashed

CONTRACT = Path(__file__).parents[4] / "shared" / "specs" / "mailchimp" / "mailchimp-marketing-3.0.55.swagger.json"
ANN = "ann@acme.test"
TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": int | float,
    "boolean": bool,
}

pytestmark = pytest.mark.skipif(not CONTRACT.exists(), reason="Mailchimp's contract is not beside this repository")


@cache
def contract() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(CONTRACT.read_text(encoding="utf-8"))
    return found


def faults(value: Any, schema: dict[str, Any], at: str = "$") -> Iterator[str]:
    """What about a value is not as its schema says. Keys the contract does not know are no fault: it is of 2022."""
    if "x-oneOf" in schema:
        key = schema["x-discriminator"]["propertyName"]
        for one in schema["x-oneOf"]:
            if value[key] in one["properties"][key].get("enum", ()):
                yield from faults(value, one, at)
                return
        yield f"{at}: no schema for {key}={value[key]}"
        return
    kind = schema.get("type")
    if kind and (not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "boolean")):
        yield f"{at}: {value!r} is no {kind}"
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r} is none of {schema['enum']}"
    elif schema.get("format") == "date-time" and value:
        assert datetime.fromisoformat(value).tzinfo, at
    elif isinstance(value, dict):
        yield from (f"{at}: {name} is missing" for name in schema.get("required", ()) if name not in value)
        known = schema.get("properties", {})
        for name, one in value.items():
            if name in known:
                yield from faults(one, known[name], f"{at}.{name}")
    elif isinstance(value, list) and "items" in schema:
        for index, one in enumerate(value):
            yield from faults(one, schema["items"], f"{at}[{index}]")


READS = {
    "/": "/",
    "/ping": "/ping",
    "/lists": "/lists",
    "/lists/{list_id}": f"/lists/{LIST}",
    "/lists/{list_id}/members": f"/lists/{LIST}/members",
    "/lists/{list_id}/members/{subscriber_hash}": f"/lists/{LIST}/members/{hashed(ANN)}",
    "/lists/{list_id}/members/{subscriber_hash}/tags": f"/lists/{LIST}/members/{hashed(ANN)}/tags",
    "/lists/{list_id}/members/{subscriber_hash}/events": f"/lists/{LIST}/members/{hashed(ANN)}/events",
    "/lists/{list_id}/members/{subscriber_hash}/activity": f"/lists/{LIST}/members/{hashed(ANN)}/activity",
    "/lists/{list_id}/members/{subscriber_hash}/activity-feed": f"/lists/{LIST}/members/{hashed(ANN)}/activity-feed",
    "/lists/{list_id}/merge-fields": f"/lists/{LIST}/merge-fields",
    "/lists/{list_id}/merge-fields/{merge_id}": f"/lists/{LIST}/merge-fields/1",
    "/lists/{list_id}/segments": f"/lists/{LIST}/segments",
    "/lists/{list_id}/tag-search": f"/lists/{LIST}/tag-search",
    "/lists/{list_id}/webhooks": f"/lists/{LIST}/webhooks",
    "/search-members": "/search-members?query=acme",
    "/campaigns": "/campaigns",
    "/campaigns/{campaign_id}": "/campaigns/{campaign}",
    "/reports": "/reports",
    "/reports/{campaign_id}": "/reports/{campaign}",
    "/reports/{campaign_id}/email-activity": "/reports/{campaign}/email-activity",
    "/reports/{campaign_id}/open-details": "/reports/{campaign}/open-details",
    "/reports/{campaign_id}/click-details": "/reports/{campaign}/click-details",
    "/reports/{campaign_id}/click-details/{link_id}/members": "/reports/{campaign}/click-details/{link}/members",
    "/reports/{campaign_id}/unsubscribed": "/reports/{campaign}/unsubscribed",
    "/reports/{campaign_id}/sent-to": "/reports/{campaign}/sent-to",
    "/automations": "/automations",
    "/batches": "/batches",
    "/batch-webhooks": "/batch-webhooks",
}


def schema_of(path: str, method: str) -> dict[str, Any]:
    found: dict[str, Any] = contract()["paths"][path][method]["responses"]["200"]["schema"]
    return found


@pytest.fixture
def busy(api: Api, mailchimp: Mailchimp, receiver: Receiver) -> dict[str, str]:
    """An account in which every reading has something to show."""
    mailchimp.add_member(ANN, "subscribed", merge_fields={"FNAME": "Ann"}, tags=("warm",))
    mailchimp.add_member("bob@acme.test", "subscribed")
    mailchimp.add_automation("wf1", "Old welcome", "mail1")
    sent = NOW - timedelta(days=1)
    campaign = mailchimp.add_campaign("News", sent)
    for action in ("sent", "open", "click"):
        mailchimp.add_campaign_activity(
            campaign, ANN, action, sent, "https://acme.test/p" if action == "click" else None
        )
    mailchimp.add_campaign_activity(campaign, "bob@acme.test", "bounce", sent, bounce_type="hard")
    mailchimp.person_unsubscribes("bob@acme.test", campaign)
    api.ok("POST", f"/lists/{LIST}/members/{hashed(ANN)}/events", {"name": "seen", "properties": {"a": "b"}})
    api.ok("POST", f"/lists/{LIST}/webhooks", {"url": receiver.url})
    api.ok("POST", "/batch-webhooks", {"url": receiver.url})
    api.ok("POST", "/batches", {"operations": []})
    link = api.ok("GET", f"/reports/{campaign}/click-details")["urls_clicked"][0]["id"]
    return {"campaign": campaign, "link": link}


def test_what_is_read_is_as_the_contract_says(api: Api, busy: dict[str, str]) -> None:
    found = {}
    for path, address in READS.items():
        body = api.ok("GET", address.format(**busy))
        collection = [value for value in body.values() if isinstance(value, list)]
        assert all(key in contract()["paths"] for key in READS)
        assert body.get("total_items", 1) > 0, path
        assert collection or "id" in body or path in ("/ping", "/", "/search-members"), path
        if wrong := list(faults(body, schema_of(path, "get"))):
            found[path] = wrong
    assert found == {}


def test_what_is_written_is_as_the_contract_says(api: Api, receiver: Receiver, mailchimp: Mailchimp) -> None:
    mailchimp.add_automation("wf1", "Old welcome", "mail1")
    member = f"/lists/{LIST}/members/{hashed(ANN)}"
    body = {"email_address": ANN, "status": "subscribed", "status_if_new": "subscribed"}
    queue = "/automations/{workflow_id}/emails/{workflow_email_id}/queue"
    removed = "/automations/{workflow_id}/removed-subscribers"
    segment, leave = f"/lists/{LIST}/segments/10298", {"members_to_remove": [ANN]}
    writes: list[tuple[str, str, str, Any]] = [
        ("post", "/lists/{list_id}/members", f"/lists/{LIST}/members", {**body, "tags": ["warm"]}),
        ("put", "/lists/{list_id}/members/{subscriber_hash}", member, body),
        ("patch", "/lists/{list_id}/members/{subscriber_hash}", member, {"vip": True}),
        ("post", "/lists/{list_id}", f"/lists/{LIST}", {"members": [body], "update_existing": True}),
        ("post", "/lists/{list_id}/merge-fields", f"/lists/{LIST}/merge-fields", {"name": "A", "type": "text"}),
        ("patch", "/lists/{list_id}/merge-fields/{merge_id}", f"/lists/{LIST}/merge-fields/6", {"name": "B"}),
        ("post", "/lists/{list_id}/segments", f"/lists/{LIST}/segments", {"name": "hot", "static_segment": [ANN]}),
        ("post", "/lists/{list_id}/segments/{segment_id}", segment, leave),
        ("post", "/lists/{list_id}/webhooks", f"/lists/{LIST}/webhooks", {"url": receiver.url}),
        ("post", "/batches", "/batches", {"operations": []}),
        ("post", queue, "/automations/wf1/emails/mail1/queue", {"email_address": ANN}),
        ("post", removed, "/automations/wf1/removed-subscribers", {"email_address": ANN}),
    ]  # fmt: skip
    found = {}
    for method, path, address, given in writes:
        answer = api.ok(method.upper(), address, given)
        if wrong := list(faults(answer, schema_of(path, method))):
            found[method, path] = wrong
    assert found == {}


def test_a_refusal_is_the_contracts_problem_document(api: Api) -> None:
    schema = contract()["paths"]["/ping"]["get"]["responses"]["default"]["schema"]
    assert list(faults(api.refused("GET", "/lists/none"), schema)) == []


def test_every_path_served_is_in_the_contract_but_these() -> None:
    from leadbridge.sandbox.mailchimp import ROUTES

    def shape(path: str) -> tuple[str, ...]:
        return tuple("{}" if piece.startswith("{") else piece for piece in path.split("/"))

    known = {(method.upper(), shape(path)) for path, ways in contract()["paths"].items() for method in ways}
    unknown = {route.pattern for route in ROUTES.all if (route.method, shape(route.pattern)) not in known}
    assert unknown == {
        "/customer-journeys/journeys",
        "/customer-journeys/journeys/{journey_id}",
        "/customer-journeys/journeys/{journey_id}/steps",
        "/customer-journeys/journeys/{journey_id}/steps/{step_id}",
    }

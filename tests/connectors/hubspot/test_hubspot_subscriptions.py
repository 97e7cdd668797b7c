"""Webhook subscriptions of a legacy public app: compared, made by API, and never made twice (vendor page, 10.1)."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.hubspot.connector import HubSpot
from leadbridge.errors import NeedsOperator
from leadbridge.sandbox.hubspot import CLIENT_ID, REFRESH_TOKEN
from leadbridge.sandbox.hubspot.webhooks import DEVELOPER_KEY
from leadbridge.sandbox.server import Sandbox
from leadbridge.sandbox.world import Fault
from tests.helpers import rooms

FIELDS = {"job_title": {"hubspot": "jobtitle"}, "employees": {"hubspot": "company.numberofemployees"}}
WRITTEN = {"score": {"hubspot": "leadbridge_score"}, "stage": {"hubspot": "lifecyclestage"}}
APP = {
    "token": None,
    "client_id": CLIENT_ID,
    "client_secret": "sandbox-hubspot-secret",
    "refresh_token": REFRESH_TOKEN,
    "webhook_secret": "s3cret",
    "app_id": "54321",
    "developer_key": DEVELOPER_KEY,
}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        sandbox.hubspot.webhooks.subscribe([])
        yield rooms.unlimited(sandbox)


@pytest.fixture(params=["v3", "2026-09"])
def version(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def room(sandbox: Sandbox, public_url: str | None = "https://lb.acme.example", **connection: Any) -> HubSpot:
    config = rooms.configuration(
        sandbox.url, hubspot=APP | connection, fields=FIELDS, write_back=WRITTEN, public_url=public_url
    )
    return rooms.hubspot(config)


def lacking(found: HubSpot) -> set[str]:
    return {spec.name for spec in found.missing(found.specs()) if spec.kind == "webhook"}


def calls(sandbox: Sandbox, *operations: str) -> int:
    return sum(call.operation in operations for call in sandbox.world.journal)


def test_what_is_missing_is_made_once(sandbox: Sandbox, version: str) -> None:
    found = room(sandbox, api_version=version)
    assert {"target address", "contact.merge", "contact.propertyChange of jobtitle"} < lacking(found)
    found.create(found.specs())
    held = sandbox.hubspot.webhooks
    assert held.said_target is not None
    assert held.said_target["targetUrl"] == "https://lb.acme.example/webhooks/hubspot"
    assert {(one.event, one.of) for one in held.subscriptions.values() if one.active and one.of} == {
        ("contact.propertyChange", "email"),
        ("contact.propertyChange", "hs_email_optout"),
        ("contact.propertyChange", "jobtitle"),
        ("contact.propertyChange", "lifecyclestage"),
        ("company.propertyChange", "numberofemployees"),
    }
    assert lacking(found) == set()
    before = calls(sandbox, "webhooks.subscribe", "webhooks.settings.set", "webhooks.activate")
    found.create(found.specs())
    assert calls(sandbox, "webhooks.subscribe", "webhooks.settings.set", "webhooks.activate") == before
    assert (found.faults(), found.by_hand()) == ([], [])


def test_one_that_is_paused_is_set_going_and_what_others_subscribed_stays(sandbox: Sandbox) -> None:
    webhooks = sandbox.hubspot.webhooks
    webhooks.add_subscription("contact.merge", active=False)
    webhooks.add_subscription("deal.creation")
    found = room(sandbox)
    assert "contact.merge" in lacking(found)
    found.create(found.specs())
    assert webhooks.subscriptions["contact.merge"].active
    assert webhooks.subscriptions["deal.creation"].active
    assert lacking(found) == set()


def test_a_target_that_is_another_ones_is_told_and_left_alone(sandbox: Sandbox) -> None:
    sandbox.hubspot.webhooks.said_target = {"targetUrl": "https://other.example/hook"}
    found = room(sandbox)
    found.create(found.specs())
    assert sandbox.hubspot.webhooks.said_target == {"targetUrl": "https://other.example/hook"}
    (fault,) = found.faults()
    assert fault.where == "connections.hubspot.app_id"
    assert "https://other.example/hook" in fault.problem


def test_a_subscription_to_what_leadbridge_writes_is_told(sandbox: Sandbox) -> None:
    sandbox.hubspot.webhooks.add_subscription("contact.propertyChange", "leadbridge_score")
    (fault,) = room(sandbox).faults()
    assert "leadbridge_score" in fault.problem
    assert "pause" in fault.hint


@pytest.mark.parametrize("public_url", [None, "http://127.0.0.1:8080"])
def test_an_address_that_cannot_be_a_target_is_refused_before_anything_is_made(
    sandbox: Sandbox, public_url: str | None
) -> None:
    found = room(sandbox, public_url)
    with pytest.raises(NeedsOperator, match=r"web\.public_url"):
        found.create(found.specs())
    assert sandbox.hubspot.webhooks.subscriptions == {}


def test_an_answer_that_was_lost_leaves_no_subscription_twice(sandbox: Sandbox) -> None:
    sandbox.world.faults.add(Fault("reset_after", operation="webhooks.subscribe", times=1))
    found = room(sandbox)
    with pytest.raises(Exception, match="webhooks"):
        found.create(found.specs())
    found.create(found.specs())
    assert lacking(found) == set()
    names = [(one.event, one.of) for one in sandbox.hubspot.webhooks.subscriptions.values()]
    assert len(names) == len(set(names))


def test_the_developer_key_is_no_bearer_token_and_stands_in_no_error(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    found = room(sandbox, developer_key="a-wrong-developer-key")
    with pytest.raises(NeedsOperator) as raised:
        found.missing(found.specs())
    assert "a-wrong-developer-key" not in f"{raised.value!r} {raised.value} {caplog.text}"
    assert "a-wrong-developer-key" not in json.dumps([str(call) for call in sandbox.world.journal])


@pytest.mark.parametrize("lacks", ["app_id", "developer_key", "webhook_secret"])
def test_what_goes_together_is_told(lacks: str) -> None:
    with pytest.raises(ValidationError, match=r"go together|webhook_secret"):
        rooms.configuration("http://127.0.0.1:9", hubspot={**APP, lacks: None})

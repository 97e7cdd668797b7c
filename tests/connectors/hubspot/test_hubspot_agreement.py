"""`check --live`: where the file and the HubSpot account do not agree, each with its cure."""

from typing import Any

import pytest

from connectors.events import HUBSPOT_KINDS
from leadbridge.errors import Fault
from leadbridge.sandbox.hubspot import CLIENT_ID, REFRESH_TOKEN
from leadbridge.sandbox.server import Sandbox
from leadbridge.sandbox.world import Fault as Trouble
from tests.helpers import rooms


def faults(sandbox: Sandbox, version: str = "v3", fields: dict[str, Any] | None = None, **more: Any) -> list[Fault]:
    config = rooms.configuration(sandbox.url, hubspot={"api_version": version, **more}, fields=fields)
    return rooms.hubspot(config).faults()


@pytest.mark.parametrize("version", ["v3", "2026-09"])
def test_an_account_that_fits_has_no_faults(sandbox: Sandbox, version: str) -> None:
    fields = {name: mapping for name, mapping in rooms.FIELDS.items() if name != "budget"}
    assert faults(sandbox, version, fields) == []


def test_a_property_that_is_not_there_is_named_with_the_nearest_one(sandbox: Sandbox) -> None:
    fields = {"job_title": {"hubspot": "jobtitel"}, "employees": {"hubspot": "company.numberofemployes"}}
    first, second = faults(sandbox, fields=fields)
    assert (first.where, first.hint) == ("fields.job_title.hubspot", "did you mean jobtitle?")
    assert (second.where, second.hint) == ("fields.employees.hubspot", "did you mean numberofemployees?")


def test_a_property_of_a_type_that_cannot_be_read_is_told(sandbox: Sandbox) -> None:
    fields = {"born": {"hubspot": "hs_is_unworked", "type": "date"}, "free": {"hubspot": "jobtitle", "type": "boolean"}}
    assert [fault.where for fault in faults(sandbox, fields=fields)] == ["fields.born.hubspot", "fields.free.hubspot"]


def test_a_place_to_write_that_only_hubspot_writes_is_told(sandbox: Sandbox) -> None:
    fields = {"job_title": {"hubspot": "jobtitle"}}
    config = rooms.configuration(sandbox.url, fields=fields, write_back={"score": {"hubspot": "hubspotscore"}})
    (fault,) = rooms.hubspot(config).faults()
    assert fault.where == "write_back.score.hubspot"
    assert "read-only" in fault.problem


def test_the_subscriptions_that_only_a_person_can_make_are_those_that_the_fields_need() -> None:
    fields = {"job_title": {"hubspot": "jobtitle"}, "employees": {"hubspot": "company.numberofemployees"},
              "forms": {"hubspot": "num_unique_conversion_events"}}  # fmt: skip
    written = {"score": {"hubspot": "leadbridge_score"}, "stage": {"hubspot": "lifecyclestage"}}
    config = rooms.configuration(
        "http://127.0.0.1:9", hubspot={"webhook_secret": "s3cret"}, fields=fields, write_back=written,
        public_url="https://lb.acme.example/",
    )  # fmt: skip
    (told,) = rooms.hubspot(config).by_hand()
    assert "https://lb.acme.example/webhooks/hubspot" in told.how
    assert {one.partition(" of ")[2] for one in told.entries if one.startswith("contact.propertyChange")} == {
        "email", "hs_email_optout", "jobtitle", "lifecyclestage"}  # fmt: skip
    assert "company.propertyChange of numberofemployees" in told.entries
    assert {"contact.merge", "contact.privacyDeletion", "contact.restore"} < set(told.entries)


def test_whoever_takes_no_webhooks_has_nothing_to_subscribe() -> None:
    assert rooms.hubspot(rooms.configuration("http://127.0.0.1:9")).by_hand() == []


def test_every_subscription_asked_for_is_understood_when_it_comes() -> None:
    config = rooms.configuration("http://127.0.0.1:9", hubspot={"webhook_secret": "s3cret"})
    (told,) = rooms.hubspot(config).by_hand()
    kinds = {one.partition(" of ")[0].rpartition(".")[2] for one in told.entries}
    assert kinds <= set(HUBSPOT_KINDS)


def test_a_list_that_is_not_there_is_told(sandbox: Sandbox) -> None:
    sandbox.hubspot.add_list("Webinar 2026")
    fields = {"job_title": {"hubspot": "jobtitle"}}
    assert faults(sandbox, fields=fields, lists=["webinar 2026"]) == []
    (fault,) = faults(sandbox, fields=fields, lists=["webinar 2025"])
    assert (fault.where, fault.hint) == ("connections.hubspot.lists", "did you mean Webinar 2026?")


APP = {
    "token": None,
    "client_id": CLIENT_ID,
    "client_secret": "sandbox-hubspot-secret",
    "refresh_token": REFRESH_TOKEN,
}


@pytest.mark.parametrize("version", ["v3", "2026-09"])
@pytest.mark.parametrize("access", [{"token": "reader"}, APP], ids=["private app", "OAuth app"])
def test_what_the_token_may_not_do_is_told_with_the_scope_to_grant(
    sandbox: Sandbox, version: str, access: dict[str, Any]
) -> None:
    readers = ["crm.objects.contacts.read", "crm.schemas.contacts.read", "crm.schemas.companies.read", "content"]
    sandbox.hubspot.tokens.add("reader", scopes=readers)
    sandbox.hubspot.tokens.refresh_tokens[REFRESH_TOKEN] = frozenset(readers)
    found = faults(sandbox, version, activities=["forms", "email_events", "calls", "deals"], **access)
    told = [
        (fault.where, fault.problem.partition(":")[0].removeprefix("the token lacks the scope ")) for fault in found
    ]
    assert told[:5] == [
        ("write_back", "crm.objects.contacts.write"),
        ("fields", "crm.objects.companies.read"),
        ("connections.hubspot.activities", "forms"),
        ("connections.hubspot.activities", "crm.objects.deals.read"),
        ("fields.budget.hubspot", "contacts have no property budget_amount"),
    ]
    assert all(fault.hint for fault in found)


def test_where_hubspot_tells_no_scopes_none_is_missed(sandbox: Sandbox) -> None:
    sandbox.hubspot.tokens.add("reader", scopes=["crm.objects.contacts.read", "crm.schemas.contacts.read"])
    sandbox.world.faults.add(Trouble("status", operation="oauth.token_info", status=400))
    fields = {"job_title": {"hubspot": "jobtitle"}}
    assert faults(sandbox, fields=fields, token="reader") == []

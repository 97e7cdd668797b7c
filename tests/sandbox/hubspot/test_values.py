"""What is taken as a value: types, options, stages, dates, and the rules an admin may set."""

import json
from collections.abc import Callable

import pytest
import requests

from leadbridge.sandbox.server import Sandbox

Api = Callable[..., requests.Response]
ROOT = "/crm/v3/objects/contacts"


@pytest.fixture
def contact(sandbox: Sandbox) -> str:
    for name, value_type, field_type in (("score", "number", "number"), ("renewal", "date", "date")):
        sandbox.hubspot.add_property("contacts", {"name": name, "type": value_type, "fieldType": field_type})
    return sandbox.hubspot.add_contact({"email": "ann@x.com"})


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("nonsense", "1", "PROPERTY_DOESNT_EXIST"),
        ("hs_email_open", "1", "READ_ONLY_VALUE"),
        ("score", "1,000", "INVALID_INTEGER"),
        ("score", "high", "INVALID_INTEGER"),
        ("closedate", "soon", "INVALID_LONG"),
        ("hs_lead_status", "New", "INVALID_OPTION"),  # the label, not the value
        ("hs_buying_role", "CHAMPION;BOSS", "INVALID_OPTION"),
        ("email", "ann", "INVALID_EMAIL"),
        ("renewal", "1795312800000", "INVALID_DATE"),
    ],
)
def test_a_bad_value_is_told_by_code(api: Api, contact: str, name: str, value: str, code: str) -> None:
    answer = api("PATCH", f"{ROOT}/{contact}", json={"properties": {name: value}})
    body = answer.json()
    assert (answer.status_code, body["category"]) == (400, "VALIDATION_ERROR")
    [error] = body["errors"]
    assert (error["code"], error["context"]) == (code, {"propertyName": [name]})
    listed = json.loads(body["message"].removeprefix("Property values were not valid: "))
    assert [(one["error"], one["name"], one["isValid"]) for one in listed] == [(code, name, False)]


def test_the_whole_write_is_refused_for_one_value(sandbox: Sandbox, api: Api, contact: str) -> None:
    api("PATCH", f"{ROOT}/{contact}", json={"properties": {"jobtitle": "CTO", "nonsense": "1"}})
    assert "jobtitle" not in sandbox.hubspot.dump()["objects"]["contacts"][contact]["properties"]


@pytest.mark.parametrize(
    ("name", "given", "stored"),
    [
        ("score", 42, "42"),
        ("score", "42.50", "42.50"),
        ("closedate", "1795312800000", "2026-11-22T02:00:00.000Z"),
        ("closedate", "2026-11-22T03:00:00+01:00", "2026-11-22T02:00:00.000Z"),
        ("renewal", "2026-11-22", "2026-11-22"),
        ("hs_buying_role", "CHAMPION;END_USER", "CHAMPION;END_USER"),
        ("email", "Ann.Other@X.COM", "ann.other@x.com"),
    ],
)
def test_every_value_is_stored_as_text(
    sandbox: Sandbox, api: Api, contact: str, name: str, given: object, stored: str
) -> None:
    assert api("PATCH", f"{ROOT}/{contact}", json={"properties": {name: given}}).status_code == 200
    assert sandbox.hubspot.dump()["objects"]["contacts"][contact]["properties"][name] == stored


def test_a_leading_semicolon_appends(sandbox: Sandbox, api: Api, contact: str) -> None:
    for value in ("CHAMPION", ";END_USER"):
        api("PATCH", f"{ROOT}/{contact}", json={"properties": {"hs_buying_role": value}})
    stored = sandbox.hubspot.dump()["objects"]["contacts"][contact]["properties"]
    assert stored["hs_buying_role"] == "CHAMPION;END_USER"


def stage(api: Api, contact: str, value: str) -> str | None:
    """Write a stage, which must be answered 200, and read what is there then."""
    assert api("PATCH", f"{ROOT}/{contact}", json={"properties": {"lifecyclestage": value}}).status_code == 200
    shown = api("GET", f"{ROOT}/{contact}?properties=lifecyclestage").json()["properties"]["lifecyclestage"]
    return None if shown is None else str(shown)


def test_the_stage_only_moves_forward_and_nobody_says_so(sandbox: Sandbox, api: Api, contact: str) -> None:
    assert stage(api, contact, "salesqualifiedlead") == "salesqualifiedlead"
    assert stage(api, contact, "lead") == "salesqualifiedlead"
    effects = [effect.kind for call in sandbox.world.journal for effect in call.effects]
    assert effects == ["property_changed", "property_dropped"]


def test_a_cleared_stage_may_start_again(api: Api, contact: str) -> None:
    stage(api, contact, "customer")
    assert stage(api, contact, "") is None
    assert stage(api, contact, "lead") == "lead"


def test_the_order_of_stages_is_that_of_the_definition(api: Api, contact: str) -> None:
    path = "/crm/v3/properties/contacts/lifecyclestage"
    options = api("GET", path).json()["options"]
    own = {"label": "Trial", "value": "182736455", "displayOrder": 2, "hidden": False}
    later = [{**one, "displayOrder": n + (n >= 2)} for n, one in enumerate(options)]
    assert api("PATCH", path, json={"options": [*later, own]}).status_code == 200
    assert stage(api, contact, "182736455") == "182736455"
    assert stage(api, contact, "lead") == "182736455"
    assert stage(api, contact, "marketingqualifiedlead") == "marketingqualifiedlead"


def test_only_2026_09_rounds_a_date_and_warns(sandbox: Sandbox, api: Api, contact: str) -> None:
    write = {"properties": {"renewal": "1795312800000"}}
    assert api("PATCH", f"/crm/objects/2026-03/contacts/{contact}", json=write).status_code == 400
    answer = api("PATCH", f"/crm/objects/2026-09/contacts/{contact}", json=write)
    assert answer.status_code == 200
    [warning] = answer.json()["warnings"]
    assert warning["category"] == "PROPERTY_VALUE_NORMALIZED"
    assert warning["context"] == {
        "propertyName": ["renewal"],
        "rawValue": ["1795312800000"],
        "normalizedValue": ["2026-11-22"],
    }


def test_only_2026_09_obeys_the_rules_of_an_admin(sandbox: Sandbox, api: Api) -> None:
    contact = sandbox.hubspot.add_contact({"email": "ann@x.com", "country": "DE"})
    sandbox.hubspot.settings.conditional_rules = {"contacts": {"state": "country"}}
    write = {"properties": {"jobtitle": "CTO"}}
    for version in ("v3/objects", "objects/2026-03"):
        assert api("PATCH", f"/crm/{version}/contacts/{contact}", json=write).status_code == 200
    answer = api("PATCH", f"/crm/objects/2026-09/contacts/{contact}", json=write)
    assert answer.status_code == 400
    assert answer.json()["errors"] == [
        {
            "message": "state is required because of a conditional property rule based on [country]",
            "code": "MISSING_CONDITIONAL_REQUIRED_PROPERTY",
            "context": {"propertyName": ["state"]},
        }
    ]
    complete = {"properties": {"jobtitle": "CTO", "state": "NW"}}
    assert api("PATCH", f"/crm/objects/2026-09/contacts/{contact}", json=complete).status_code == 200


def test_a_create_form_asks_for_properties_on_2026_09(sandbox: Sandbox, api: Api) -> None:
    sandbox.hubspot.settings.create_required = {"contacts": ["firstname"]}
    write = {"properties": {"email": "a@x.com"}}
    answer = api("POST", "/crm/objects/2026-09/contacts", json=write)
    assert answer.status_code == 400
    assert answer.json()["message"] == "The property values provided are invalid"
    assert answer.json()["errors"][0]["message"] == "A value for firstname must be provided"
    assert api("POST", ROOT, json=write).status_code == 201

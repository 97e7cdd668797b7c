"""Ids, single rows, describe, field security, custom fields."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from simple_salesforce import Salesforce as Client

from leadbridge.sandbox.salesforce import INTEGRATION_USER, RULE_OWNER, Salesforce, ids
from leadbridge.sandbox.server import Sandbox

Api = Callable[..., requests.Response]
LEAD = {"LastName": "Lee", "FirstName": "Ann", "Company": "Acme", "Email": "ann@acme.example"}
SCORE = {"label": "Leadbridge Score", "type": "Number", "precision": 5, "scale": 2}


def test_the_suffix_is_the_recorded_one() -> None:
    assert ids.full("0015500001QdQWa") == "0015500001QdQWaAAN"
    assert ids.read("00Dx0000000BV7z") == "00Dx0000000BV7zEAG"


@given(st.text("0123456789ABCXYZabcxyz", min_size=15, max_size=15))
def test_eighteen_characters_survive_the_loss_of_case(short: str) -> None:
    whole = ids.full(short)
    assert ids.read(whole.upper()) == ids.read(whole.lower()) == ids.read(short) == whole


def test_the_library_makes_reads_changes_and_deletes_a_lead(sf: Salesforce, client: Client) -> None:
    made = client.Lead.create(LEAD)
    assert (made["success"], made["errors"], len(made["id"])) == (True, [], 18)
    assert client.Lead.update(made["id"], {"Title": "CTO"}) == 204
    found = client.Lead.get(made["id"])
    assert (found["Name"], found["Title"], found["Status"]) == ("Ann Lee", "CTO", "Open - Not Contacted")
    assert found["attributes"]["url"] == f"/services/data/v65.0/sobjects/Lead/{made['id']}"
    assert client.Lead.delete(made["id"]) == 204
    assert sf.row(made["id"])["IsDeleted"] is True


def test_a_missing_row_and_a_deleted_row_differ(sf: Salesforce, api: Api) -> None:
    lead = sf.add("Lead", LEAD)
    sf.delete(lead)
    assert api("GET", f"/sobjects/Lead/{lead}").json()[0]["errorCode"] == "ENTITY_IS_DELETED"
    answer = api("GET", "/sobjects/Lead/00Q550000099999AAA")
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (404, "NOT_FOUND")
    assert api("GET", "/sobjects/Nothing").status_code == 404


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"Email": "a@acme.example"}, "REQUIRED_FIELD_MISSING"),
        ({**LEAD, "Foo": 1}, "INVALID_FIELD"),
        ({**LEAD, "HasOptedOutOfEmail": True}, "INVALID_FIELD"),
        ({**LEAD, "ConvertedDate": "2026-01-01"}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({**LEAD, "LastName": "x" * 81}, "STRING_TOO_LONG"),
        ({**LEAD, "Email": "nobody"}, "INVALID_EMAIL_ADDRESS"),
        ({**LEAD, "NumberOfEmployees": 2**31}, "NUMBER_OUTSIDE_VALID_RANGE"),
        ({**LEAD, "NumberOfEmployees": "many"}, "JSON_PARSER_ERROR"),
        ({**LEAD, "OwnerId": "x"}, "MALFORMED_ID"),
        ({**LEAD, "OwnerId": "005550000099999AAA"}, "INVALID_CROSS_REFERENCE_KEY"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_its_code(api: Api, body: dict[str, object], code: str) -> None:
    answer = api("POST", "/sobjects/Lead", json=body)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, code)


def test_a_write_moves_the_owner_unless_told_not_to(sandbox: Sandbox, sf: Salesforce, api: Api) -> None:
    lead = sf.add("Lead", LEAD)
    owner = sf.row(lead)["OwnerId"]
    assert api("PATCH", f"/sobjects/Lead/{lead}", json={"Title": "A"}).status_code == 204
    assert sf.row(lead)["OwnerId"] == owner
    api("PATCH", f"/sobjects/Lead/{lead}", json={"Title": "B"}, headers={"Sforce-Auto-Assign": "TRUE"})
    assert sf.row(lead)["OwnerId"] == RULE_OWNER
    assert sandbox.world.journal.since()[-1].effects[-1].kind == "owner_assigned"


def test_an_equal_write_moves_the_stamp_and_no_field(sandbox: Sandbox, sf: Salesforce, api: Api) -> None:
    lead = sf.add("Lead", LEAD)
    before = sf.row(lead)
    sandbox.world.clock.advance(timedelta(minutes=1))
    api("PATCH", f"/sobjects/Lead/{lead}", json={"Email": LEAD["Email"]})
    after = sf.row(lead)
    assert after["SystemModstamp"] > before["SystemModstamp"]
    assert after["LastModifiedById"] == INTEGRATION_USER
    assert [effect.kind for effect in sandbox.world.journal.since()[-1].effects] == ["record_touched"]


def test_a_describe_has_the_keys_of_a_recorded_one(client: Client) -> None:
    lead = client.Lead.describe()
    assert len(lead) == 45
    assert {len(field) for field in lead["fields"]} == {57}
    fields = {field["name"]: field for field in lead["fields"]}
    shown = ("type", "length", "createable", "updateable", "nillable", "defaultedOnCreate", "permissionable")
    assert {name: tuple(fields[name][key] for key in shown) for name in ("Email", "Status", "Name", "OwnerId")} == {
        "Email": ("email", 80, True, True, True, False, True),
        "Status": ("picklist", 255, True, True, False, True, False),
        "Name": ("string", 121, False, False, False, False, False),
        "OwnerId": ("reference", 18, True, True, False, True, False),
    }
    assert (fields["OwnerId"]["referenceTo"], fields["Description"]["filterable"]) == (["Group", "User"], False)


def test_opt_out_is_hidden_until_granted(sf: Salesforce, client: Client) -> None:
    names = {field["name"] for field in client.Lead.describe()["fields"]}
    assert {"Email", "Status"} <= names
    assert not {"HasOptedOutOfEmail", "DoNotCall", "HasOptedOutOfFax"} & names
    sf.grant_field("Lead", "HasOptedOutOfEmail", edit=False)
    [field] = [f for f in client.Lead.describe()["fields"] if f["name"] == "HasOptedOutOfEmail"]
    assert (field["type"], field["updateable"], len(field)) == ("boolean", False, 57)


def test_a_field_made_by_api_is_seen_by_nobody_until_granted(api: Api, client: Client) -> None:
    body = {"FullName": "Lead.Leadbridge_Score__c", "Metadata": SCORE}
    made = client.toolingexecute("sobjects/CustomField", method="POST", data=body)
    assert (made["success"], made["id"][:3]) == (True, "00N")
    again = api("POST", "/tooling/sobjects/CustomField", json=body)
    assert again.json()[0]["errorCode"] == "DUPLICATE_DEVELOPER_NAME"
    query = {"q": "SELECT Leadbridge_Score__c FROM Lead"}
    assert "No such column" in api("GET", "/query", params=query).json()[0]["message"]

    chosen = api("POST", "/sobjects/PermissionSet", json={"Name": "Leadbridge", "Label": "Leadbridge"}).json()["id"]
    row = {
        "ParentId": chosen, "SobjectType": "Lead", "Field": "Lead.Leadbridge_Score__c",
        "PermissionsRead": True, "PermissionsEdit": True,
    }  # fmt: skip
    assert api("POST", "/sobjects/FieldPermissions", json=row).status_code == 201
    assert api("POST", "/sobjects/FieldPermissions", json=row).json()[0]["errorCode"] == "DUPLICATE_VALUE"
    assert api("GET", "/query", params=query).status_code == 400  # not yet assigned
    assigned = {"PermissionSetId": chosen, "AssigneeId": INTEGRATION_USER}
    assert api("POST", "/sobjects/PermissionSetAssignment", json=assigned).status_code == 201
    assert api("GET", "/query", params=query).status_code == 200
    lead = api("POST", "/sobjects/Lead", json={**LEAD, "Leadbridge_Score__c": 71.456}).json()["id"]
    assert client.Lead.get(lead)["Leadbridge_Score__c"] == 71.46
    grants = "SELECT Field, PermissionsEdit FROM FieldPermissions WHERE SobjectType='Lead' AND Parent.Name='Leadbridge'"
    assert client.query(grants)["records"][0]["Field"] == "Lead.Leadbridge_Score__c"


def test_describe_is_304_until_a_field_changes(sf: Salesforce, api: Api) -> None:
    first = api("GET", "/sobjects/Lead/describe")
    since = {"If-Modified-Since": first.headers["Last-Modified"]}
    again = api("GET", "/sobjects/Lead/describe", headers=since)
    assert (again.status_code, again.content) == (304, b"")
    sf.add_field("Lead", "Leadbridge_Score__c", SCORE)
    assert api("GET", "/sobjects/Lead/describe", headers=since).status_code == 200


def test_an_external_key_upserts_and_tells_several_apart(sf: Salesforce, api: Api) -> None:
    sf.add_field("Lead", "Key__c", {"label": "Key", "type": "Text", "length": 64, "externalId": True})
    made = api("PATCH", "/sobjects/Lead/Key__c/k1", json=LEAD)
    assert (made.status_code, made.json()["created"]) == (201, True)
    again = api("PATCH", "/sobjects/Lead/Key__c/k1", json={"Title": "CTO"})
    assert (again.status_code, again.json()["created"]) == (200, False)
    sf.add("Lead", {**LEAD, "Key__c": "k1"})
    several = api("GET", "/sobjects/Lead/Key__c/k1")
    assert (several.status_code, len(several.json())) == (300, 2)
    assert api("GET", "/sobjects/Lead/Title/x").status_code == 404
    assert api("PATCH", "/sobjects/Lead/Email/nobody", json={}).json()[0]["errorCode"] == "INVALID_EMAIL_ADDRESS"


def test_a_closed_task_moves_the_persons_last_activity(sf: Salesforce) -> None:
    lead = sf.add("Lead", LEAD)
    sf.add("Task", {"WhoId": lead, "Subject": "Call", "Status": "Completed", "ActivityDate": "2026-11-20"})
    assert sf.row(lead)["LastActivityDate"] == "2026-11-20"

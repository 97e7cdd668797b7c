"""Collections: one answer per row, whatever became of it (vendor page, section 4.1)."""

from collections.abc import Callable
from typing import Any

import pytest
import requests
from simple_salesforce import Salesforce as Client

from leadbridge.sandbox.salesforce import Salesforce
from leadbridge.sandbox.server import Sandbox

Api = Callable[..., requests.Response]
ROOT = "/composite/sobjects"


@pytest.fixture
def leads(sf: Salesforce) -> list[str]:
    return [sf.add("Lead", {"LastName": f"L{n}", "Company": "Acme", "Email": f"l{n}@acme.example"}) for n in range(3)]


def rows(*ids: str, **values: Any) -> list[dict[str, Any]]:
    return [{"attributes": {"type": "Lead"}, "id": one, **values} for one in ids]


def codes(answer: requests.Response) -> list[str]:
    assert answer.status_code == 200
    return ["ok" if one["success"] else one["errors"][0]["statusCode"] for one in answer.json()]


def test_the_library_writes_a_collection(sf: Salesforce, client: Client, leads: list[str]) -> None:
    answer = client.restful(
        "composite/sobjects", method="PATCH", json={"allOrNone": False, "records": rows(*leads, Title="CTO")}
    )
    assert answer == [{"id": one, "success": True, "errors": []} for one in leads]
    assert {sf.row(one)["Title"] for one in leads} == {"CTO"}


@pytest.mark.parametrize(
    "code",
    [
        "UNABLE_TO_LOCK_ROW",
        "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        "INSUFFICIENT_ACCESS_OR_READONLY",
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
    ],
)
def test_a_scripted_row_fails_once_beside_others(sf: Salesforce, api: Api, leads: list[str], code: str) -> None:
    sf.refuse(leads[1], code)
    body = {"allOrNone": False, "records": rows(*leads, Title="CTO")}
    first = api("PATCH", ROOT, json=body)
    assert codes(first) == ["ok", code, "ok"]
    assert "id" not in first.json()[1]
    assert codes(api("PATCH", ROOT, json=body)) == ["ok", "ok", "ok"]


def test_converted_deleted_unknown_and_doubled_rows_are_told_apart(sf: Salesforce, api: Api, leads: list[str]) -> None:
    sf.convert(leads[0])
    sf.delete(leads[1])
    records = rows(leads[0], leads[1], "00Q550000099999", "003", leads[2], leads[2], Title="CTO")
    assert codes(api("PATCH", ROOT, json={"records": records})) == [
        "CANNOT_UPDATE_CONVERTED_LEAD",
        "ENTITY_IS_DELETED",
        "INVALID_CROSS_REFERENCE_KEY",
        "MALFORMED_ID",
        "ok",
        "DUPLICATE_VALUE",
    ]


def test_all_failed_is_still_200(sandbox: Sandbox, api: Api, leads: list[str]) -> None:
    assert codes(api("PATCH", ROOT, json={"records": rows(*leads, Foo=1)})) == ["INVALID_FIELD"] * 3
    [call] = sandbox.world.journal
    assert (call.operation, call.items, call.effects) == ("collections.update", 3, ())


def test_all_or_none_takes_everything_back(sandbox: Sandbox, sf: Salesforce, api: Api, leads: list[str]) -> None:
    before = sf.dump()
    records = [*rows(leads[0], Title="CTO"), *rows(leads[1], Email="nobody"), *rows(leads[2], Title="CTO")]
    answer = api("PATCH", ROOT, json={"allOrNone": True, "records": records})
    rolled_back = "ALL_OR_NONE_OPERATION_ROLLED_BACK"
    assert codes(answer) == [rolled_back, "INVALID_EMAIL_ADDRESS", rolled_back]
    assert sf.dump() == before
    assert sandbox.world.journal.since()[-1].effects == ()


def test_a_wrong_json_type_undoes_the_rows_before_it(sf: Salesforce, api: Api, leads: list[str]) -> None:
    records = [*rows(leads[0], Title="CTO"), *rows(leads[1], Title=7)]
    answer = api("PATCH", ROOT, json={"records": records})
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "JSON_PARSER_ERROR")
    assert "Title" not in sf.row(leads[0])


def test_an_unknown_field_may_fail_all(sf: Salesforce, api: Api, leads: list[str]) -> None:
    sf.settings.unknown_field_fails_all = True
    answer = api("PATCH", ROOT, json={"records": [*rows(leads[0], Title="CTO"), *rows(leads[1], Foo=1)]})
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "INVALID_FIELD")
    assert "Title" not in sf.row(leads[0])


def test_null_clears_and_an_absent_key_leaves(sf: Salesforce, api: Api, leads: list[str]) -> None:
    sf.edit(leads[0], {"Title": "CTO", "Phone": "1"})
    api("PATCH", ROOT, json={"records": rows(leads[0], Title=None)})
    assert ("Title" in sf.row(leads[0]), sf.row(leads[0])["Phone"]) == (False, "1")


def test_too_many_rows_and_too_many_chunks_are_refused(sf: Salesforce, api: Api, leads: list[str]) -> None:
    assert api("PATCH", ROOT, json={"records": rows(*leads * 67, Title="x")}).status_code == 400
    contact = sf.add("Contact", {"LastName": "Lee"})
    mixed = [*rows(leads[0], Title="x"), {"attributes": {"type": "Contact"}, "id": contact, "Title": "x"}]
    assert api("PATCH", ROOT, json={"records": mixed}).status_code == 200
    assert api("PATCH", ROOT, json={"records": mixed * 6}).status_code == 400


def test_rows_are_made_found_and_deleted_together(sf: Salesforce, api: Api) -> None:
    records = [{"attributes": {"type": "Lead"}, "LastName": f"L{n}", "Company": "Acme"} for n in range(2)]
    made = [one["id"] for one in api("POST", ROOT, json={"records": records}).json()]
    body = {"ids": [made[1], "00Q550000099999AAA", made[0]], "fields": ["Id", "LastName"]}
    found = api("POST", f"{ROOT}/Lead", json=body).json()
    assert [one and one["LastName"] for one in found] == ["L1", None, "L0"]
    assert api("POST", f"{ROOT}/Lead", json={**body, "fields": ["Foo"]}).status_code == 400
    answer = api("DELETE", ROOT, params={"ids": ",".join([*made, "x"]), "allOrNone": "false"})
    assert codes(answer) == ["ok", "ok", "MALFORMED_ID"]


def test_an_upsert_by_email_says_what_was_created(sf: Salesforce, api: Api, leads: list[str]) -> None:
    records = [
        {"attributes": {"type": "Lead"}, "Email": "L1@acme.example", "Title": "CTO"},
        {"attributes": {"type": "Lead"}, "Email": "new@acme.example", "LastName": "New", "Company": "Acme"},
    ]
    answer = api("PATCH", f"{ROOT}/Lead/Email", json={"records": records}).json()
    assert [one["created"] for one in answer] == [False, True]
    assert answer[0]["id"] == leads[1]


@pytest.mark.parametrize(("rule", "header", "code"), [
    ("alert", "", "DUPLICATES_DETECTED"), ("alert", "allowSave=true", "ok"),
    ("block", "allowSave=true", "DUPLICATES_DETECTED"), ("off", "", "ok"),
])  # fmt: skip
def test_a_duplicate_rule_warns_or_blocks(
    sf: Salesforce, api: Api, leads: list[str], rule: str, header: str, code: str
) -> None:
    sf.add("Lead", {"LastName": "Twin", "Company": "Acme", "Email": "l0@acme.example"})
    sf.settings.duplicate_rule = rule  # type: ignore[assignment]
    headers = {"Sforce-Duplicate-Rule-Header": header}
    body = {"records": rows(leads[0], leads[1], Title="CTO")}
    assert codes(api("PATCH", ROOT, json=body, headers=headers)) == [code, "ok"]

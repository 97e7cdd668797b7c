"""Who belongs to whom."""

from collections.abc import Callable
from typing import Any

import pytest
import requests

from leadbridge.sandbox.server import Sandbox

Api = Callable[..., requests.Response]
V4, V2026 = "/crm/v4/associations/contacts/companies", "/crm/associations/2026-09/contacts/companies"


def read(api: Api, contact: str, root: str = V4) -> list[dict[str, Any]]:
    [row] = api("POST", f"{root}/batch/read", json={"inputs": [{"id": contact}]}).json()["results"]
    found: list[dict[str, Any]] = row["to"]
    return found


@pytest.fixture
def company(sandbox: Sandbox) -> str:
    return sandbox.hubspot.add_company({"name": "X"})


@pytest.fixture
def contact(sandbox: Sandbox, company: str) -> str:
    return sandbox.hubspot.add_contact({"email": "ann@x.com"}, company_id=company)


def test_the_other_id_is_a_number_in_v4_and_text_in_2026_09(api: Api, contact: str, company: str) -> None:
    assert read(api, contact)[0]["toObjectId"] == int(company)
    assert read(api, contact, V2026)[0]["toObjectId"] == company


def test_the_primary_company_is_known_by_its_label_not_by_its_place(
    sandbox: Sandbox, api: Api, contact: str, company: str
) -> None:
    later = sandbox.hubspot.add_company({"name": "Y"})
    put = api(
        "PUT",
        f"/crm/v4/objects/contacts/{contact}/associations/companies/{later}",
        json=[{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 1}],
    )
    assert put.status_code == 201
    labels = {row["toObjectId"]: [one["label"] for one in row["associationTypes"]] for row in read(api, contact)}
    assert labels == {int(company): [None], int(later): ["Primary", None]}
    shown = api("GET", f"/crm/v3/objects/contacts/{contact}?properties=associatedcompanyid").json()
    assert shown["properties"]["associatedcompanyid"] == later


def test_a_contact_without_company_makes_the_answer_a_207(sandbox: Sandbox, api: Api, contact: str) -> None:
    alone = sandbox.hubspot.add_contact({"email": "bob@x.com"})
    answer = api("POST", f"{V4}/batch/read", json={"inputs": [{"id": alone}, {"id": contact}]})
    assert answer.status_code == 207
    body = answer.json()
    assert [row["from"]["id"] for row in body["results"]] == [contact]
    [error] = body["errors"]
    assert error["subCategory"] == "crm.associations.NO_ASSOCIATIONS_FOUND"
    assert error["message"] == f"No company is associated with contact {alone}."
    assert error["context"]["fromObjectId"] == [alone]


def test_a_thousand_inputs_may_be_read_at_once(api: Api) -> None:
    assert api("POST", f"{V4}/batch/read", json={"inputs": [{"id": "1"}] * 1000}).status_code == 207
    assert api("POST", f"{V4}/batch/read", json={"inputs": [{"id": "1"}] * 1001}).status_code == 400


def test_both_sides_know(api: Api, contact: str, company: str) -> None:
    answer = api("GET", f"/crm/objects/2026-09/companies/{company}/associations/contacts")
    assert [row["toObjectId"] for row in answer.json()["results"]] == [contact]
    assert [one["typeId"] for one in answer.json()["results"][0]["associationTypes"]] == [2, 280]


def test_the_first_company_becomes_primary(sandbox: Sandbox, api: Api, company: str) -> None:
    contact = sandbox.hubspot.add_contact({"email": "bob@x.com"})
    put = api("PUT", f"/crm/v4/objects/contact/{contact}/associations/default/company/{company}")
    assert put.status_code == 200
    assert [one["typeId"] for one in read(api, contact)[0]["associationTypes"]] == [1, 279]


def test_removing_an_association_ends_both_sides(sandbox: Sandbox, api: Api, contact: str, company: str) -> None:
    body = {"inputs": [{"from": {"id": contact}, "to": [{"id": company}]}]}
    assert api("POST", f"{V4}/batch/archive", json=body).status_code == 204
    assert sandbox.hubspot.dump()["associations"] == {}
    shown = api("GET", f"/crm/v3/objects/contacts/{contact}?properties=associatedcompanyid").json()
    assert shown["properties"]["associatedcompanyid"] is None


def test_an_unknown_record_cannot_be_associated(api: Api, contact: str) -> None:
    body = {"inputs": [{"from": {"id": contact}, "to": {"id": "5"}, "types": [{"associationTypeId": 279}]}]}
    answer = api("POST", f"{V4}/batch/create", json=body)
    assert answer.status_code == 207
    assert answer.json()["errors"][0]["subCategory"] == "crm.associations.INVALID_IDENTIFIER"


def test_labels(api: Api) -> None:
    assert api("GET", f"{V4}/labels").json()["results"] == [
        {"category": "HUBSPOT_DEFINED", "typeId": 1, "label": "Primary"},
        {"category": "HUBSPOT_DEFINED", "typeId": 279, "label": None},
    ]


def test_activities_lead_to_their_contact(sandbox: Sandbox, api: Api, contact: str) -> None:
    meeting = sandbox.hubspot.add_engagement("meetings", contact, {"hs_meeting_outcome": "COMPLETED"})
    answer = api("POST", "/crm/v4/associations/meetings/contacts/batch/read", json={"inputs": [{"id": meeting}]})
    [row] = answer.json()["results"]
    assert row["to"][0]["toObjectId"] == int(contact)
    assert row["to"][0]["associationTypes"][0]["typeId"] == 200

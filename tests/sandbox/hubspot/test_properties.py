"""Definitions, groups, pipelines."""

from collections.abc import Callable
from typing import Any

import pytest
import requests

from leadbridge.sandbox.server import Sandbox

Api = Callable[..., requests.Response]
ROOT = "/crm/v3/properties/contacts"


def definition(name: str = "acme_score", **more: Any) -> dict[str, Any]:
    given = {"name": name, "label": "Score", "type": "number", "fieldType": "number", "groupName": "acme"}
    return given | more


@pytest.fixture(autouse=True)
def group(api: Api) -> None:
    answer = api("POST", f"{ROOT}/groups", json={"name": "acme", "label": "Acme", "displayOrder": -1})
    assert answer.status_code == 201
    assert answer.json() == {"name": "acme", "label": "Acme", "displayOrder": -1, "archived": False}


def test_a_definition_is_201_with_its_place(sandbox: Sandbox, api: Api) -> None:
    answer = api("POST", "/crm/properties/2026-09/contacts", json=definition())
    assert answer.status_code == 201
    assert answer.headers["Location"] == "/crm/properties/2026-09/contacts/acme_score"
    assert answer.json()["archived"] is False
    effect = list(sandbox.world.journal)[-1].effects[0]
    assert (effect.kind, effect.detail) == ("property_defined", {"object": "contacts", "name": "acme_score"})
    assert api("GET", f"{ROOT}/acme_score").json()["type"] == "number"


def test_an_existing_name_is_409_and_nothing_changes(api: Api) -> None:
    api("POST", ROOT, json=definition())
    answer = api("POST", ROOT, json=definition(label="Other"))
    assert answer.status_code == 409
    body = answer.json()
    assert body["message"] == "A property named 'acme_score' already exists."
    assert body["category"] == "OBJECT_ALREADY_EXISTS"
    assert body["subCategory"] == "Properties.PROPERTY_WITH_NAME_EXISTS"
    assert api("GET", f"{ROOT}/acme_score").json()["label"] == "Score"


def test_in_a_batch_the_existing_name_is_one_error_of_a_207(api: Api) -> None:
    api("POST", ROOT, json=definition())
    answer = api("POST", f"{ROOT}/batch/create", json={"inputs": [definition(), definition("acme_grade")]})
    assert answer.status_code == 207
    assert [row["name"] for row in answer.json()["results"]] == ["acme_grade"]
    assert answer.json()["errors"][0]["context"]["name"] == ["acme_score"]


def test_unknown_is_404_and_so_is_the_second_delete(api: Api) -> None:
    answer = api("GET", f"{ROOT}/acme_score")
    assert (answer.status_code, answer.json()["category"]) == (404, "OBJECT_NOT_FOUND")
    api("POST", ROOT, json=definition())
    assert [api("DELETE", f"{ROOT}/acme_score").status_code for _ in range(2)] == [204, 404]


def test_an_archived_name_comes_back_with_the_new_definition_and_the_old_values(sandbox: Sandbox, api: Api) -> None:
    api("POST", ROOT, json=definition())
    contact = sandbox.hubspot.add_contact({"email": "a@x.com", "acme_score": "7"})
    api("DELETE", f"{ROOT}/acme_score")
    write = {"properties": {"acme_score": "8"}}
    assert api("PATCH", f"/crm/v3/objects/contacts/{contact}", json=write).status_code == 400
    assert api("POST", ROOT, json=definition(label="New")).json()["label"] == "New"
    shown = api("GET", f"/crm/v3/objects/contacts/{contact}?properties=acme_score").json()
    assert shown["properties"]["acme_score"] == "7"


def test_options_are_replaced_as_a_whole(api: Api) -> None:
    option = {"label": "A", "value": "a", "displayOrder": 0, "hidden": False}
    api("POST", ROOT, json=definition("grade", type="enumeration", fieldType="select", options=[option]))
    answer = api("PATCH", f"{ROOT}/grade", json={"options": [{**option, "label": "B", "value": "b"}]})
    assert [one["value"] for one in answer.json()["options"]] == ["b"]
    assert answer.json()["label"] == "Score"


def test_uniqueness_never_changes(api: Api) -> None:
    api("POST", ROOT, json=definition())
    assert api("PATCH", f"{ROOT}/acme_score", json={"hasUniqueValue": True}).json()["hasUniqueValue"] is False


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Acme Score"},
        {"fieldType": "text"},
        {"groupName": "nowhere"},
        {"type": "bool", "fieldType": "booleancheckbox"},
        {"type": "enumeration", "fieldType": "select", "options": [{"label": "A"}]},
    ],
)
def test_what_a_definition_may_not_be(api: Api, wrong: dict[str, Any]) -> None:
    assert api("POST", ROOT, json=definition(**wrong)).status_code == 400


def test_a_group_with_properties_stays(api: Api) -> None:
    api("POST", ROOT, json=definition())
    assert api("DELETE", f"{ROOT}/groups/acme").status_code == 400
    api("DELETE", f"{ROOT}/acme_score")
    assert api("DELETE", f"{ROOT}/groups/acme").status_code == 204
    assert api("GET", f"{ROOT}/groups/acme").status_code == 404


def test_an_existing_group_is_409(api: Api) -> None:
    assert api("POST", f"{ROOT}/groups", json={"name": "acme", "label": "Acme"}).status_code == 409


def test_the_list_is_never_paged_and_types_are_the_vendors(api: Api) -> None:
    answer = api("GET", ROOT).json()
    assert "paging" not in answer
    types = {row["name"]: (row["type"], row["modificationMetadata"]["readOnlyValue"]) for row in answer["results"]}
    assert types["annualrevenue"] == ("string", False)  # free text on contacts, a number on companies
    assert types["hs_email_open"] == ("number", True)
    assert types["hs_is_unworked"] == ("bool", True)
    companies = {row["name"]: row["type"] for row in api("GET", "/crm/v3/properties/companies").json()["results"]}
    assert (companies["annualrevenue"], companies["industry"]) == ("number", "enumeration")
    stages = next(row for row in answer["results"] if row["name"] == "lifecyclestage")
    assert [one["value"] for one in stages["options"]][:3] == ["subscriber", "lead", "marketingqualifiedlead"]
    assert "archived" not in stages


def test_won_stages_are_known_by_their_metadata(api: Api) -> None:
    [pipeline] = api("GET", "/crm/pipelines/2026-09/deals").json()["results"]
    won = [s["id"] for s in pipeline["stages"] if s["metadata"] == {"isClosed": "true", "probability": "1.0"}]
    assert won == ["closedwon"]

"""Batches: what is rejected as a whole, what only in part, and how the answer tells."""

from collections.abc import Callable
from typing import Any

import pytest
import requests

from leadbridge.sandbox.server import Sandbox

Api = Callable[..., requests.Response]
BATCH = "/crm/v3/objects/contacts/batch"


def people(sandbox: Sandbox, count: int) -> list[str]:
    return [sandbox.hubspot.add_contact({"email": f"p{n}@x.com", "jobtitle": "Dev"}) for n in range(count)]


def update(record_id: str, trace: str | None = None, **properties: str) -> dict[str, Any]:
    one: dict[str, Any] = {"id": record_id, "properties": properties}
    return one | ({"objectWriteTraceId": trace} if trace else {})


def titles(sandbox: Sandbox) -> list[str]:
    rows = sandbox.hubspot.dump()["objects"]["contacts"].values()
    return [row["properties"]["jobtitle"] for row in rows]


@pytest.mark.parametrize("verb", ["read", "create", "update", "upsert", "archive"])
def test_101_inputs_are_400(sandbox: Sandbox, api: Api, verb: str) -> None:
    inputs = [{"id": str(n), "properties": {"email": f"n{n}@x.com"}} for n in range(101)]
    answer = api("POST", f"{BATCH}/{verb}", json={"inputs": inputs})
    assert answer.status_code == 400
    assert answer.json()["category"] == "VALIDATION_ERROR"
    assert list(sandbox.world.journal)[-1].items == 101


def test_one_bad_input_rejects_the_whole_batch(sandbox: Sandbox, api: Api) -> None:
    ids = people(sandbox, 3)
    inputs = [update(one, jobtitle="CTO") for one in ids[:2]] + [update(ids[2], numemployees="many")]
    answer = api("POST", f"{BATCH}/update", json={"inputs": inputs})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == "INVALID_OPTION"
    assert titles(sandbox) == ["Dev", "Dev", "Dev"]
    assert list(sandbox.world.journal)[-1].effects == ()


def test_trace_ids_let_the_good_inputs_through(sandbox: Sandbox, api: Api) -> None:
    ids = people(sandbox, 2)
    inputs = [update(ids[0], "a", jobtitle="CTO"), update(ids[1], "b", nonsense="1")]
    answer = api("POST", f"{BATCH}/update", json={"inputs": inputs})
    assert answer.status_code == 207
    assert [row["id"] for row in answer.json()["results"]] == [ids[0]]
    assert answer.json()["errors"][0]["context"]["objectWriteTraceId"] == ["b"]
    assert titles(sandbox) == ["CTO", "Dev"]


def test_equal_trace_ids_do_not_count(sandbox: Sandbox, api: Api) -> None:
    ids = people(sandbox, 2)
    inputs = [update(ids[0], "a", jobtitle="CTO"), update(ids[1], "a", nonsense="1")]
    assert api("POST", f"{BATCH}/update", json={"inputs": inputs}).status_code == 400


def test_one_error_stands_for_all_unknown_ids(sandbox: Sandbox, api: Api) -> None:
    [known] = people(sandbox, 1)
    inputs = [update(one, jobtitle="CTO") for one in ("777", known, "888")]
    answer = api("POST", f"{BATCH}/update", json={"inputs": inputs})
    assert answer.status_code == 207
    body = answer.json()
    assert (body["numErrors"], body["errors"][0]["context"]["ids"]) == (1, ["777", "888"])
    assert body["errors"][0]["category"] == "OBJECT_NOT_FOUND"
    assert titles(sandbox) == ["CTO"]


def test_the_id_of_a_merged_contact_is_unknown_to_a_batch_update(sandbox: Sandbox, api: Api) -> None:
    one, two = people(sandbox, 2)
    sandbox.hubspot.merge(one, two)
    answer = api("POST", f"{BATCH}/update", json={"inputs": [update(one, jobtitle="CTO")]})
    assert answer.status_code == 207
    assert answer.json()["results"] == []


def test_duplicate_ids_are_400(sandbox: Sandbox, api: Api) -> None:
    [known] = people(sandbox, 1)
    answer = api("POST", f"{BATCH}/update", json={"inputs": [update(known, jobtitle="A"), update(known, jobtitle="B")]})
    assert answer.status_code == 400
    assert answer.json()["message"] == f"Duplicate IDs found in batch input: [{known}]. IDs must be unique"
    assert titles(sandbox) == ["Dev"]


def test_results_do_not_come_in_the_order_of_inputs(sandbox: Sandbox, api: Api) -> None:
    ids = people(sandbox, 50)
    answer = api("POST", f"{BATCH}/read", json={"inputs": [{"id": one} for one in ids], "properties": ["email"]})
    found = [row["id"] for row in answer.json()["results"]]
    assert sorted(found, key=int) == ids
    assert found != ids


def test_reading_unknown_ids_is_207(sandbox: Sandbox, api: Api) -> None:
    [known] = people(sandbox, 1)
    answer = api("POST", f"{BATCH}/read", json={"inputs": [{"id": known}, {"id": "5"}], "properties": []})
    assert answer.status_code == 207
    assert answer.json()["errors"][0]["context"]["ids"] == ["5"]


def test_reading_by_address(sandbox: Sandbox, api: Api) -> None:
    [known] = people(sandbox, 1)
    body = {"idProperty": "email", "inputs": [{"id": "P0@X.com"}], "properties": ["email"]}
    answer = api("POST", f"{BATCH}/read", json=body)
    assert [row["id"] for row in answer.json()["results"]] == [known]


def test_partial_answers_can_be_200_on_2026_09(sandbox: Sandbox, api: Api) -> None:
    sandbox.hubspot.settings.partial_as_200 = True
    body = {"inputs": [{"id": "5"}], "properties": []}
    answer = api("POST", "/crm/objects/2026-09/contacts/batch/read", json=body)
    assert answer.status_code == 200
    assert answer.json()["numErrors"] == 1
    assert api("POST", f"{BATCH}/read", json=body).status_code == 207


def test_creating_a_known_address_fails_the_batch(sandbox: Sandbox, api: Api) -> None:
    [known] = people(sandbox, 1)
    inputs: list[dict[str, Any]] = [{"properties": {"email": one}} for one in ("new@x.com", "p0@x.com")]
    answer = api("POST", f"{BATCH}/create", json={"inputs": inputs})
    assert (answer.status_code, answer.json()["message"]) == (409, "Contact already exists")
    traced = [one | {"objectWriteTraceId": str(n)} for n, one in enumerate(inputs)]
    answer = api("POST", f"{BATCH}/create", json={"inputs": traced})
    assert answer.status_code == 207
    assert answer.json()["errors"][0]["context"] == {"existingId": [known], "objectWriteTraceId": ["1"]}
    assert [row["properties"]["email"] for row in answer.json()["results"]] == ["new@x.com"]


def test_one_address_twice_in_a_batch_is_a_conflict(api: Api) -> None:
    inputs = [{"properties": {"email": "new@x.com"}}, {"properties": {"email": "NEW@x.com"}}]
    assert api("POST", f"{BATCH}/create", json={"inputs": inputs}).status_code == 409


def test_upsert_says_what_is_new_and_lowers_addresses(sandbox: Sandbox, api: Api) -> None:
    people(sandbox, 1)
    inputs = [
        {"id": one, "idProperty": "email", "properties": {"jobtitle": "CTO"}} for one in ("P0@x.com", "Other@X.com")
    ]
    answer = api("POST", f"{BATCH}/upsert", json={"inputs": inputs})
    assert answer.status_code == 200
    found = {row["properties"].get("email"): row["new"] for row in answer.json()["results"]}
    assert found == {None: False, "other@x.com": True}


def test_upsert_by_a_property_that_is_not_unique_is_400(api: Api) -> None:
    inputs = [{"id": "D", "idProperty": "dealname", "properties": {}}]
    answer = api("POST", "/crm/v3/objects/deals/batch/upsert", json={"inputs": inputs})
    assert answer.status_code == 400
    assert answer.json()["message"] == "Unable to perform update/upsert by non-unique 0-3 property dealname"


def test_upsert_is_not_partial_by_address(sandbox: Sandbox, api: Api) -> None:
    inputs = [
        {"id": "a@x.com", "idProperty": "email", "objectWriteTraceId": "1", "properties": {"jobtitle": "CTO"}},
        {"id": "b@x.com", "idProperty": "email", "objectWriteTraceId": "2", "properties": {"nonsense": "CTO"}},
    ]
    assert api("POST", f"{BATCH}/upsert", json={"inputs": inputs}).status_code == 400
    assert sandbox.hubspot.dump()["objects"]["contacts"] == {}


def test_archiving_takes_unknown_ids_silently(sandbox: Sandbox, api: Api) -> None:
    ids = people(sandbox, 2)
    answer = api("POST", f"{BATCH}/archive", json={"inputs": [{"id": ids[0]}, {"id": "5"}]})
    assert answer.status_code == 204
    assert answer.content == b""
    assert [row["id"] for row in api("GET", "/crm/v3/objects/contacts").json()["results"]] == [ids[1]]


def test_the_journal_tells_changed_values_from_equal_ones(sandbox: Sandbox, api: Api) -> None:
    one, two = people(sandbox, 2)
    api("POST", f"{BATCH}/update", json={"inputs": [update(one, jobtitle="CTO"), update(two, jobtitle="Dev")]})
    call = list(sandbox.world.journal)[-1]
    assert (call.operation, call.status, call.items) == ("contacts.batch.update", 200, 2)
    assert [(effect.kind, effect.detail["id"]) for effect in call.effects] == [
        ("property_changed", one),
        ("property_written_equal", two),
    ]
    assert call.effects[0].detail == {
        "object": "contacts",
        "id": one,
        "name": "jobtitle",
        "old": "Dev",
        "new": "CTO",
    }

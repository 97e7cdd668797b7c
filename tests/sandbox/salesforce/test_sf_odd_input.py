"""Whatever a client sends, the stand-in answers as Salesforce refuses: never a fault of its own."""

import itertools
from collections.abc import Callable

import pytest
import requests

Api = Callable[..., requests.Response]
BODIES: list[object] = [
    None, 1, "x", [], {}, [1],
    {"records": [1]}, {"records": [{}]}, {"records": [{"attributes": "x"}]},
    {"records": [{"attributes": {"type": "Lead"}, "id": 5, "Title": {}}]},
    {"ids": [1, None], "fields": [1]},
    {"operation": [], "object": {}}, {"operation": "insert", "object": "Lead", "columnDelimiter": []},
    {"operation": "query", "query": 5},
    {"FullName": "Lead.X__c", "Metadata": {"type": [], "label": 1}},
    {"FullName": "Lead.X__c", "Metadata": {"type": "Picklist", "label": "x", "valueSet": []}},
    {"LastName": "a", "Company": "b", "AnnualRevenue": "NaN"}, {"LastName": "a", "Company": "b", "Email": {}},
]  # fmt: skip
PATHS = [
    ("POST", "/sobjects/Lead"), ("PATCH", "/composite/sobjects"), ("POST", "/composite/sobjects"),
    ("POST", "/composite/sobjects/Lead"), ("PATCH", "/composite/sobjects/Lead/Email"), ("POST", "/jobs/query"),
    ("POST", "/jobs/ingest"), ("POST", "/tooling/sobjects/CustomField"), ("POST", "/sobjects/FieldPermissions"),
    ("PATCH", "/sobjects/Lead/Email/x@acme.example"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_an_odd_body_is_refused_and_breaks_nothing(api: Api, method: str, path: str) -> None:
    for body, type_ in itertools.product(BODIES, ("application/json", "text/plain")):
        answer = api(method, path, json=body, headers={"Content-Type": type_})
        rows = answer.json()
        refused = isinstance(rows, list) and all(
            "errorCode" in row or row.get("success") is False for row in rows if row
        )
        assert answer.status_code < 500
        assert refused, (body, rows)


@pytest.mark.parametrize("query", [
    "", "SELECT", "SELECT Id FROM Lead WHERE Id < null", "SELECT a FROM b '",
    "SELECT Id FROM Lead WHERE LastName LIKE null",
    "SELECT Id FROM Lead WHERE CreatedDate = LAST_N_DAYS:99999999", "SELECT Id FROM Lead LIMIT x",
    "SELECT Id Id FROM Lead",
])  # fmt: skip
def test_an_odd_query_is_refused(api: Api, query: str) -> None:
    answer = api("GET", "/query", params={"q": query})
    assert (answer.status_code, "errorCode" in answer.json()[0]) == (400, True)

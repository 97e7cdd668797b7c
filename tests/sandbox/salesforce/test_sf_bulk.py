"""Bulk API 2.0: jobs, their states, CSV in every dialect (vendor page, sections 3.5 and 4.6)."""

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
import requests
from simple_salesforce import Salesforce as Client

from leadbridge.sandbox.salesforce import Salesforce
from leadbridge.sandbox.server import Sandbox

Api = Callable[..., requests.Response]


@pytest.fixture
def leads(sf: Salesforce) -> list[str]:
    return [sf.add("Lead", {"LastName": f"L{n}", "Company": "Acme, Inc", "Title": "CTO"}) for n in range(5)]


def table(answer: requests.Response) -> list[list[str]]:
    assert answer.status_code == 200, answer.text
    return list(csv.reader(io.StringIO(answer.text)))


def finished(api: Api, path: str) -> dict[str, Any]:
    """Poll to the end; the last job."""
    states: list[str] = []
    while not states or states[-1] not in ("JobComplete", "Failed", "Aborted"):
        job = api("GET", path).json()
        states.append(job["state"])
    assert states == ["InProgress", "JobComplete"]
    return dict(job)


def ingest(api: Api, text: str, operation: str = "update", **more: str) -> str:
    """A closed ingest job of leads; its path."""
    made = api("POST", "/jobs/ingest", json={"operation": operation, "object": "Lead", **more}).json()
    assert (made["state"], made["apiVersion"]) == ("Open", 65.0)
    put = api("PUT", f"/{made['contentUrl']}", data=text.encode(), headers={"Content-Type": "text/csv; charset=UTF-8"})
    assert (put.status_code, put.content) == (201, b"")
    path = f"/jobs/ingest/{made['id']}"
    assert api("PATCH", path, json={"state": "UploadComplete"}).json()["state"] == "UploadComplete"
    return path


def test_a_query_job_is_read_page_by_page(sf: Salesforce, api: Api, leads: list[str]) -> None:
    body = {"operation": "query", "query": "SELECT Id, Company, IsConverted, Website FROM Lead ORDER BY Id"}
    made = api("POST", "/jobs/query", json=body).json()
    assert (made["state"], made["object"]) == ("UploadComplete", "Lead")
    path = f"/jobs/query/{made['id']}"
    early = api("GET", f"{path}/results")
    assert (early.status_code, early.json()[0]["errorCode"]) == (412, "JOB_NOT_COMPLETE")
    assert finished(api, path)["numberRecordsProcessed"] == 5
    first = api("GET", f"{path}/results", params={"maxRecords": 3})
    assert (first.headers["Content-Type"], first.headers["Sforce-NumberOfRecords"]) == ("text/csv", "3")
    rest = api("GET", f"{path}/results", params={"maxRecords": 3, "locator": first.headers["Sforce-Locator"]})
    assert rest.headers["Sforce-Locator"] == "null"
    head, *rows = table(first) + table(rest)[1:]
    assert table(rest)[0] == head == ["Id", "Company", "IsConverted", "Website"]
    assert rows == [[one, "Acme, Inc", "false", ""] for one in leads]
    other = f"/services/data/v64.0{path}/results"
    assert api("GET", other).status_code == 409
    assert api("DELETE", path).status_code == 204
    assert api("GET", path).status_code == 404


def test_a_query_all_job_shows_the_deleted(sf: Salesforce, client: Client, leads: list[str]) -> None:
    sf.delete(leads[0])
    [page] = client.bulk2.Lead.query_all("SELECT Id FROM Lead WHERE IsDeleted = true", max_records=1, wait=0.01)
    assert page.split() == ['"Id"', f'"{leads[0]}"']


@pytest.mark.parametrize("query", ["SELECT COUNT() FROM Lead", "SELECT Id FROM Lead OFFSET 5", "SELECT Foo FROM Lead"])
def test_what_bulk_does_not_read_is_refused_at_once(api: Api, query: str) -> None:
    assert api("POST", "/jobs/query", json={"operation": "query", "query": query}).status_code == 400


def test_the_library_updates_in_bulk(sf: Salesforce, client: Client, leads: list[str]) -> None:
    records = [{"Id": one, "Title": f"T{n}"} for n, one in enumerate(leads)] + [{"Id": "x", "Title": "T"}]
    [result] = client.bulk2.Lead.update(records=records, wait=0.01)
    assert (result["numberRecordsProcessed"], result["numberRecordsFailed"]) == (6, 1)
    assert [sf.row(one)["Title"] for one in leads] == ["T0", "T1", "T2", "T3", "T4"]
    assert "MALFORMED_ID" in client.bulk2.Lead.get_failed_records(result["job_id"])


def test_rows_fail_alone_and_say_why(sandbox: Sandbox, sf: Salesforce, api: Api, leads: list[str]) -> None:
    sf.refuse(leads[1], "UNABLE_TO_LOCK_ROW")
    text = f"Id,NumberOfEmployees\n{leads[0]},5\n{leads[1]},5\n{leads[2]},many\n{leads[3]}\n"
    path = ingest(api, text)
    done = finished(api, path)
    assert (done["numberRecordsProcessed"], done["numberRecordsFailed"], done["jobType"]) == (4, 3, "V2Ingest")
    assert table(api("GET", f"{path}/successfulResults")) == [
        ["sf__Id", "sf__Created", "Id", "NumberOfEmployees"],
        [leads[0], "false", leads[0], "5"],
    ]
    head, *failed = table(api("GET", f"{path}/failedResults"))
    assert head[1] == "sf__Error"
    assert [row[1].split(":")[0] for row in failed] == [
        "UNABLE_TO_LOCK_ROW",
        "INVALID_TYPE_ON_FIELD_IN_RECORD",
        "INVALID_FIELD",
    ]
    assert len(table(api("GET", f"{path}/unprocessedRecords"))) == 1
    [close] = [call for call in sandbox.world.journal if call.operation == "bulk.ingest.state"]
    assert (close.items, len(close.effects)) == (4, 1)


def test_an_empty_cell_leaves_and_na_clears(sf: Salesforce, api: Api, leads: list[str]) -> None:
    finished(api, ingest(api, f"Id,Title,Phone\n{leads[0]},,1\n{leads[1]},#N/A,2\n"))
    assert (sf.row(leads[0])["Title"], sf.row(leads[0])["Phone"]) == ("CTO", "1")
    assert "Title" not in sf.row(leads[1])


@pytest.mark.parametrize(("delimiter", "sign"), [("TAB", "\t"), ("PIPE", "|"), ("SEMICOLON", ";"), ("CARET", "^"),
                                                 ("BACKQUOTE", "`")])  # fmt: skip
def test_every_delimiter_is_read(sf: Salesforce, api: Api, leads: list[str], delimiter: str, sign: str) -> None:
    text = f"Id{sign}Title\r\n{leads[0]}{sign}a,b\r\n"
    finished(api, ingest(api, text, columnDelimiter=delimiter, lineEnding="CRLF"))
    assert sf.row(leads[0])["Title"] == "a,b"


def test_insert_upsert_and_delete(sf: Salesforce, api: Api, leads: list[str]) -> None:
    sf.add_field("Lead", "Key__c", {"label": "Key", "type": "Text", "length": 9, "externalId": True, "unique": True})
    path = ingest(api, "LastName,Company,Key__c\nNew,Acme,k1\n", "insert")
    finished(api, path)
    made = table(api("GET", f"{path}/successfulResults"))[1]
    assert made[1] == "true"
    path = ingest(api, "Key__c,LastName,Company\nk1,Newer,\nk2,Other,Acme\n", "upsert", externalIdFieldName="Key__c")
    finished(api, path)
    assert [row[1] for row in table(api("GET", f"{path}/successfulResults"))[1:]] == ["false", "true"]
    assert sf.row(made[0])["Name"] == "Newer"
    finished(api, ingest(api, f"Id\n{made[0]}\n", "delete"))
    assert sf.row(made[0])["IsDeleted"] is True


def test_a_job_takes_one_upload_and_then_no_more(api: Api, leads: list[str]) -> None:
    path = ingest(api, f"Id,Title\n{leads[0]},x\n")
    answer = api("PUT", f"{path}/batches", data=b"Id\n")
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "INVALIDJOBSTATE")
    assert api("PATCH", path, json={"state": "Aborted"}).json()["state"] == "Aborted"
    assert api("POST", "/jobs/ingest", json={"operation": "update", "object": "User"}).status_code == 400


def test_an_aborted_job_does_nothing_more(sf: Salesforce, api: Api, leads: list[str]) -> None:
    made = api("POST", "/jobs/ingest", json={"operation": "delete", "object": "Lead"}).json()
    path = f"/jobs/ingest/{made['id']}"
    api("PUT", f"{path}/batches", data=f"Id\n{leads[0]}\n".encode())
    api("PATCH", path, json={"state": "Aborted"})
    assert api("PATCH", path, json={"state": "UploadComplete"}).status_code == 400
    assert sf.row(leads[0])["IsDeleted"] is False

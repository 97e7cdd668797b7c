"""SOQL: what it finds, how it pages, how it refuses; and the change feeds."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import requests
from simple_salesforce import Salesforce as Client
from simple_salesforce import format_soql

from leadbridge.sandbox.salesforce import Salesforce
from leadbridge.sandbox.server import Sandbox

Api = Callable[..., requests.Response]


@pytest.fixture
def people(sf: Salesforce) -> dict[str, str]:
    """Contacts by last name: two at Acme, one at nobody."""
    acme = sf.add("Account", {"Name": "Acme", "Industry": "Energy", "NumberOfEmployees": 120})
    rows = {
        "Lee": {"FirstName": "Ann", "Email": "Ann@acme.example", "AccountId": acme, "Title": "CTO"},
        "Kim": {"FirstName": "Bo", "Email": "bo@acme.example", "AccountId": acme},
        "O'Hara": {"Email": "cy@else.example", "Title": "100%_sure"},
    }
    found = {last: sf.add("Contact", {"LastName": last, **row}) for last, row in rows.items()}
    return {**found, "Acme": acme}


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("Email = 'ANN@ACME.EXAMPLE'", ["Lee"]),
        ("Title = null", ["Kim"]),
        ("Title != 'cto'", ["Kim", "O'Hara"]),
        ("LastName IN ('lee', 'kim')", ["Lee", "Kim"]),
        ("LastName NOT IN ('lee', 'kim')", ["O'Hara"]),
        ("LastName = 'O\\'Hara'", ["O'Hara"]),
        ("Email LIKE '%@acme.example'", ["Lee", "Kim"]),
        ("Email LIKE '_o@%'", ["Kim"]),
        ("Title LIKE '100\\%\\_%'", ["O'Hara"]),
        ("Account.Name = 'acme' AND FirstName > 'B'", ["Kim"]),
        ("Account.NumberOfEmployees >= 120", ["Lee", "Kim"]),
        ("Account.NumberOfEmployees < 120", []),
        ("AccountId = null OR (FirstName = 'Bo' AND Title = null)", ["Kim", "O'Hara"]),
        ("NOT (AccountId != null)", ["O'Hara"]),
        ("IsEmailBounced = false AND NOT FirstName = 'Ann'", ["Kim", "O'Hara"]),
        ("SystemModstamp >= 2026-11-22T03:00:30+01:00", ["Lee", "Kim", "O'Hara"]),
        ("SystemModstamp < 2026-11-22T02:00:30.000Z", []),
        ("CreatedDate >= TODAY AND CreatedDate > LAST_N_DAYS:3", ["Lee", "Kim", "O'Hara"]),
    ],
)
def test_conditions_find_what_salesforce_finds(
    client: Client, people: dict[str, str], where: str, names: list[str]
) -> None:
    found = client.query(f"SELECT LastName FROM Contact WHERE {where} ORDER BY Id")
    assert [row["LastName"] for row in found["records"]] == names
    assert client.query(f"SELECT COUNT() FROM Contact WHERE {where}") == {
        "totalSize": len(names), "done": True, "records": [],
    }  # fmt: skip


def test_parents_are_nested_and_a_missing_one_is_null(client: Client, people: dict[str, str]) -> None:
    rows = client.query("SELECT LastName, Account.Name, Account.Owner.Name FROM Contact ORDER BY LastName")["records"]
    assert [row["LastName"] for row in rows] == ["Kim", "Lee", "O'Hara"]
    assert rows[0]["Account"]["Name"] == "Acme"
    assert rows[0]["Account"]["attributes"]["type"] == "Account"
    assert rows[0]["Account"]["Owner"]["Name"] == "Ada Admin"
    assert rows[2]["Account"] is None


def test_a_person_of_either_kind_tells_its_type(sf: Salesforce, client: Client, people: dict[str, str]) -> None:
    lead = sf.add("Lead", {"LastName": "Moe", "Company": "Moe"})
    sf.add("Task", {"WhoId": lead, "Subject": "Call"})
    sf.add("Task", {"WhoId": people["Lee"], "Subject": "Mail"})
    rows = client.query("SELECT Who.Type, Who.Name FROM Task WHERE Who.Type = 'Lead'")["records"]
    assert [(row["Who"]["Type"], row["Who"]["Name"]) for row in rows] == [("Lead", "Moe")]


def test_order_puts_nulls_first_unless_told(client: Client, people: dict[str, str]) -> None:
    def names(order: str) -> list[str]:
        return [row["LastName"] for row in client.query(f"SELECT LastName FROM Contact {order}")["records"]]

    assert names("ORDER BY Title, LastName") == ["Kim", "O'Hara", "Lee"]
    assert names("ORDER BY Title DESC NULLS LAST") == ["Lee", "O'Hara", "Kim"]
    assert names("ORDER BY LastName LIMIT 1 OFFSET 1") == ["Lee"]


def test_pages_keep_the_ids_of_the_first_call(sf: Salesforce, client: Client) -> None:
    made = [sf.add("Lead", {"LastName": f"L{n:02}", "Company": "Acme"}) for n in range(12)]
    first = client.query("SELECT Id, LastName FROM Lead ORDER BY Id")
    assert (first["totalSize"], first["done"], len(first["records"])) == (12, False, 5)
    sf.add("Lead", {"LastName": "late", "Company": "Acme"})
    second = client.query_more(first["nextRecordsUrl"], True)
    third = client.query_more(second["nextRecordsUrl"], True)
    assert third["done"]
    assert "nextRecordsUrl" not in third
    assert [row["Id"] for page in (first, second, third) for row in page["records"]] == made
    assert len(list(client.query_all_iter("SELECT Id FROM Lead"))) == 13


def test_a_cursor_dies_after_two_days(sandbox: Sandbox, sf: Salesforce, api: Api) -> None:
    for n in range(6):
        sf.add("Lead", {"LastName": f"L{n}", "Company": "Acme"})
    url = api("GET", "/query", params={"q": "SELECT Id FROM Lead"}).json()["nextRecordsUrl"]
    sandbox.world.clock.advance(timedelta(days=2, seconds=1))
    answer = api("GET", url, token=sf.sign_in())
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "INVALID_QUERY_LOCATOR")


def test_only_query_all_shows_the_deleted(sf: Salesforce, client: Client, people: dict[str, str]) -> None:
    sf.delete(people["Kim"])
    assert client.query("SELECT Id FROM Contact")["totalSize"] == 2
    rows = client.query("SELECT Id FROM Contact WHERE IsDeleted = true", include_deleted=True)["records"]
    assert [row["Id"] for row in rows] == [people["Kim"]]


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("SELECT Id FORM Lead", "MALFORMED_QUERY", "unexpected token: 'FORM'"),
        ("SELECT Id FROM Lead WHERE Id IN ()", "MALFORMED_QUERY", "unexpected token: ')'"),
        ("SELECT Id FROM Lead WHERE A = 1 AND B = 2 OR C = 3", "MALFORMED_QUERY", "unexpected token: 'OR'"),
        ("SELECT Id FROM Lead WHERE LastName = 'a\\q'", "MALFORMED_QUERY", "Illegal escape"),
        ("SELECT Id, (SELECT Id FROM Tasks) FROM Lead", "MALFORMED_QUERY", "unexpected token: '('"),
        ("SELECT Id FROM XYZZY", "INVALID_TYPE", "sObject type 'XYZZY' is not supported"),
        ("SELECT Id FROM Lead WHERE Description = 'x'", "INVALID_FIELD", "can not be filtered"),
        ("SELECT Id FROM Lead WHERE CreatedDate > '2026-01-01'", "INVALID_FIELD", "should not be enclosed in quotes"),
        ("SELECT Id FROM Lead WHERE Id = 'x'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: x"),
        ("SELECT Id FROM Lead OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "2000"),
        ("SELECT FIELDS(ALL) FROM Lead", "MALFORMED_QUERY", "LIMIT"),
        ("SELECT Nobody.Name FROM Lead", "INVALID_FIELD", "Didn't understand relationship"),
    ],
)
def test_a_wrong_query_is_refused_by_its_code(api: Api, query: str, code: str, words: str) -> None:
    answer = api("GET", "/query", params={"q": query})
    [error] = answer.json()
    assert (answer.status_code, error["errorCode"]) == (400, code)
    assert words in error["message"]


def test_no_such_column_points_at_the_column(api: Api) -> None:
    [error] = api("GET", "/query", params={"q": "SELECT Id, Foo FROM Lead"}).json()
    assert error["message"].split("\n")[1:4] == ["SELECT Id, Foo FROM Lead", " " * 11 + "^", "ERROR at Row:1:Column:12"]
    assert "No such column 'Foo' on entity 'Lead'. If you" in error["message"]


def test_what_the_library_quotes_comes_back_whole(sf: Salesforce, client: Client) -> None:
    name = "x' OR Name != '\n\\\"é%_"
    lead = sf.add("Lead", {"LastName": name, "Company": "Acme"})
    sf.add("Lead", {"LastName": "other", "Company": "Acme"})
    for query in ("LastName = {}", "LastName LIKE '{:like}'", "LastName IN {}"):
        value = [name] if "IN" in query else name
        found = client.query(format_soql(f"SELECT Id FROM Lead WHERE {query}", value))
        assert [row["Id"] for row in found["records"]] == [lead]


def test_pages_of_equal_stamps_lose_nobody(sandbox: Sandbox, sf: Salesforce, client: Client) -> None:
    made = [sf.add("Lead", {"LastName": f"L{n}", "Company": "Acme"}) for n in range(7)]
    sf.stamp_rows(made, sandbox.world.clock.now() - timedelta(hours=1))
    stamp, found = "2026-11-22T01:00:30Z", [made[0]]
    while rows := client.query(
        f"SELECT Id FROM Lead WHERE (SystemModstamp = {stamp} AND Id > '{found[-1]}') OR SystemModstamp > {stamp} "
        "ORDER BY SystemModstamp, Id LIMIT 2"
    )["records"]:
        found += [row["Id"] for row in rows]
    assert found == made


# Change feeds


def test_updated_and_deleted_cover_whole_minutes(sandbox: Sandbox, sf: Salesforce, client: Client) -> None:
    lead = sf.add("Lead", {"LastName": "Lee", "Company": "Acme"})
    gone = sf.add("Lead", {"LastName": "Kim", "Company": "Acme"})
    sf.delete(gone)
    now = sandbox.world.clock.now()
    start = now - timedelta(hours=1)
    assert client.Lead.updated(start, now)["ids"] == []  # this minute is not over
    sandbox.world.clock.advance(timedelta(minutes=1))
    end = now + timedelta(hours=1)
    covered = "2026-11-22T02:01:00.000+0000"
    assert client.Lead.updated(start, end) == {"ids": [lead], "latestDateCovered": covered}
    feed = client.Lead.deleted(start, end)
    assert feed["deletedRecords"] == [{"id": gone, "deletedDate": "2026-11-22T02:00:30.000+0000"}]
    assert feed["latestDateCovered"] == covered


def test_an_open_transaction_holds_the_watermark_back(sandbox: Sandbox, sf: Salesforce, client: Client) -> None:
    lead = sf.add("Lead", {"LastName": "Lee", "Company": "Acme"}, sandbox.world.clock.now() - timedelta(days=1))
    number = sf.begin_save(lead, {"Title": "CTO"})
    sandbox.world.clock.advance(timedelta(minutes=10))
    now = sandbox.world.clock.now()
    feed = client.Lead.updated(now - timedelta(hours=1), now)
    assert feed == {"ids": [], "latestDateCovered": "2026-11-22T02:00:00.000+0000"}
    sf.commit_save(number)
    assert sf.row(lead)["SystemModstamp"] == "2026-11-22T02:00:30.000+0000"
    feed = client.Lead.updated(now - timedelta(hours=1), now)
    assert feed == {"ids": [lead], "latestDateCovered": "2026-11-22T02:10:00.000+0000"}


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-11-22T02:00:00Z", "2026-11-22T02:00:40Z"),
        ("2026-10-01T02:00:00Z", "2026-11-22T02:00:00Z"),
        ("2026-11-22T01:00:00", "2026-11-22T02:00:00Z"),
    ],
)
def test_a_window_too_short_too_old_or_without_zone_is_refused(api: Api, start: str, end: str) -> None:
    answer = api("GET", "/sobjects/Lead/updated/", params={"start": start, "end": end})
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "INVALID_REPLICATION_DATE")


def test_record_counts_leave_empty_objects_out(client: Client, people: dict[str, str]) -> None:
    answer = client.restful("limits/recordCount", params={"sObjects": "Contact,Lead"})
    assert answer == {"sObjects": [{"count": 3, "name": "Contact"}]}

"""Pure parts: places of a field, ids, queries, activities, the quota's header."""

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.salesforce import activities
from connectors.salesforce.auth import note_usage
from connectors.salesforce.ids import long_id
from connectors.salesforce.mapping import Place, Row, main_deal, places, ref_of
from connectors.salesforce.soql import LONGEST, Where, by_ids, select
from connectors.salesforce.wire import by_status, flat, problems_of
from leadbridge.budgets import Usage
from leadbridge.errors import NeedsOperator, RetryLater, VendorError
from leadbridge.sandbox.salesforce import ids
from leadbridge.sandbox.salesforce.soql import parse
from leadbridge.types import ActivityKind

LEAD = "00Q5500001QdQWaEAN"
CONTACT = "0035500001H9cakAAB"


def test_a_field_may_be_kept_at_several_places() -> None:
    found = places("Lead.NumberOfEmployees | Account.NumberOfEmployees|Title | Owner.Name")
    assert found == [
        Place("Lead", "NumberOfEmployees"),
        Place("Account", "NumberOfEmployees"),
        Place(None, "Title"),
        Place("Owner", "Name"),
    ]
    assert [place.column("Lead") for place in found] == ["NumberOfEmployees", None, "Title", "Owner.Name"]
    assert [place.column("Contact") for place in found] == [
        None, "Account.NumberOfEmployees", "Title", "Owner.Name",
    ]  # fmt: skip


@given(st.integers(0, 62**12 - 1))
def test_short_and_long_spelling_of_an_id_are_one(number: int) -> None:
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    digits = ""
    for _ in range(12):
        number, digit = divmod(number, 62)
        digits = alphabet[digit] + digits
    whole = ids.read("00Q" + digits)
    assert whole is not None
    assert long_id("00Q" + digits) == whole == long_id(whole)


def test_an_id_of_something_else_is_no_person() -> None:
    assert ref_of(LEAD) is not None
    assert ref_of("0015500001QdQWaAAN") is None  # an account
    assert ref_of(LEAD[:-1] + "X") is None  # the checksum says that a letter changed its case
    assert ref_of("' OR Name != '") is None


@given(st.text(max_size=60))
def test_a_value_never_leaves_its_quotes(text: str) -> None:
    """Read back by a reader of SOQL that shares no code with the writer (reliability G28)."""
    query = select(["Id"], "Lead", Where("Email", "=", text))
    where = parse(query).where
    assert where is not None
    if not re.search(r"[\u0000-\u0007\u000b\u000e-\u001f]", text):  # no spelling in SOQL; Salesforce strips them
        assert where.values[0].value == text  # type: ignore[union-attr]
    assert len(parse(query).select) == 1


@pytest.mark.parametrize("name", ["Id FROM User", "Na'me", "Name,Email", "", "COUNT()", "Lead.", "1x", "Ünicode"])
def test_a_name_that_is_none_is_never_sent(name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        select([name], "Lead")
    with pytest.raises(ValueError, match="no name"):
        select(["Id"], "Lead", Where(name, "=", "x"))


def test_what_would_be_misread_is_never_sent() -> None:
    for test in (Where("Id", "IN", []), Where("CreatedDate", ">", datetime(2026, 1, 1)), Where("Id", "LIKE", "x")):  # noqa: DTZ001
        with pytest.raises(ValueError, match=r"empty|zone|sign"):
            select(["Id"], "Lead", test)


@settings(max_examples=30)
@given(st.integers(0, 1500), st.integers(1, 250))
def test_every_id_is_asked_for_once_and_every_address_is_short_enough(count: int, columns: int) -> None:
    known = [ids.make("00Q", n) for n in range(count)]
    names = [f"Some_Field_With_A_Long_Name_{n}__c" for n in range(columns)]
    queries = list(by_ids(names, "Lead", "Id", known))
    asked = [one for query in queries for one in re.findall(r"'(\w{18})'", query)]
    assert asked == known
    if columns < 200:
        assert all(len(quote_plus(query)) <= LONGEST for query in queries)


def test_a_row_is_flat_text_and_what_has_no_value_is_absent() -> None:
    raw = {
        "attributes": {"type": "Contact"}, "Id": CONTACT, "Email": None, "HasOptedOutOfEmail": False,
        "Account": {"attributes": {}, "Name": "Acme\x00", "NumberOfEmployees": 300.0}, "Owner": None,
    }  # fmt: skip
    assert flat(raw) == {
        "Id": CONTACT, "HasOptedOutOfEmail": "false", "Account.Name": "Acme", "Account.NumberOfEmployees": "300.0",
    }  # fmt: skip


def test_the_deal_that_counts_is_open_then_primary_then_the_latest() -> None:
    def deal(closed: bool, primary: bool, day: str) -> Row:
        flags = {"Opportunity.IsClosed": str(closed).lower(), "IsPrimary": str(primary).lower()}
        return {**flags, "Opportunity.CloseDate": day}

    old, main, late = deal(True, True, "2027-01-01"), deal(False, True, "2026-01-01"), deal(False, False, "2026-06-01")
    assert main_deal([old, main, late]) is main
    assert main_deal([old, late]) is late
    assert main_deal([]) == {}


# --- activities ------------------------------------------------------------------------------------------------------


def tell(stream: str, sources: tuple[str, ...] = (), **row: Any) -> Any:
    source = activities.SOURCES[stream]
    return source.tell({"Id": "00T5500001QdQWaEAN", "CreatedDate": "2026-03-01T09:00:00.000+0000", **row}, sources)


def test_a_due_date_is_not_when_it_happened() -> None:
    (call,) = tell("tasks", WhoId=LEAD, TaskSubtype="Call", ActivityDate="2027-01-01", IsClosed="false")
    assert call.at == datetime(2026, 3, 1, 9, tzinfo=UTC)
    done: dict[str, Any] = {"IsClosed": "true", "CompletedDateTime": "2026-03-02T10:00:00.000+0000"}
    (held,) = tell("tasks", WhoId=LEAD, TaskSubtype="Call", **done)
    assert held.at == datetime(2026, 3, 2, 10, tzinfo=UTC)
    assert held.source_id != call.source_id  # planned and done are two facts


def test_what_a_lead_did_is_what_the_contact_did_and_the_same_thing_once() -> None:
    pairs: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
        ("tasks", {"WhoId": LEAD}, {"WhoId": CONTACT}),
        ("events", {"WhoId": LEAD}, {"WhoId": CONTACT}),
        ("campaigns", {"LeadId": LEAD}, {"LeadId": LEAD, "ContactId": CONTACT}),
    )
    for stream, before, after in pairs:
        shared: dict[str, Any] = {"StartDateTime": "2026-03-01T09:00:00.000+0000"} if stream == "events" else {}
        (one,), (other,) = tell(stream, **before, **shared), tell(stream, **after, **shared)
        assert one.source_id == other.source_id
        assert (one.subject, other.subject) == (f"salesforce:Lead:{LEAD}", f"salesforce:Contact:{CONTACT}")


def test_each_status_of_the_orgs_own_that_a_member_comes_to_is_a_fact() -> None:
    def at(status: str, stamp: str, responded: str = "false") -> list[tuple[str, str, datetime]]:
        member: dict[str, Any] = {"LeadId": LEAD, "Status": status, "Campaign.Name": "Webinar", "SystemModstamp": stamp}
        found = tell("campaigns", HasResponded=responded, **member)
        return [(one.kind.value, one.source_id.partition(":")[2], one.at) for one in found]

    joined = ("list_joined", "joined", datetime(2026, 3, 1, 9, tzinfo=UTC))
    registered, missed = (datetime(2026, 3, day, tzinfo=UTC) for day in (2, 5))
    assert at("Sent", "2026-03-01T09:00:00Z") == [joined]
    assert at("Registered", "2026-03-02T00:00:00Z") == [joined, ("other", "status Registered", registered)]
    assert at("No Show", "2026-03-05T00:00:00Z") == [joined, ("other", "status No Show", missed)]
    came = at("Attended", "2026-03-05T00:00:00Z", "true")
    assert [kind for kind, *_ in came] == ["list_joined", "other", "campaign_response"]


def test_an_email_is_told_once_by_the_source_that_knows_more() -> None:
    assert isinstance(tell("tasks", ("emails",), WhoId=LEAD, TaskSubtype="Email"), str)
    (logged,) = tell("tasks", WhoId=LEAD, TaskSubtype="Email")
    assert (logged.kind, logged.attributes["sales"]) == (ActivityKind.EMAIL_SENT, True)


def test_an_open_is_marked_as_what_a_pixel_saw_and_only_where_one_person_can_have_opened() -> None:
    seen: dict[str, Any] = {
        "Status": "3",
        "MessageDate": "2026-03-01T09:00:00Z",
        "FirstOpenedDate": "2026-03-01T10:00:00Z",
    }
    sent, opened = tell("emails", ToAddress="Ada@Acme.example", **seen)
    assert (sent.subject, opened.kind) == ("email:ada@acme.example", ActivityKind.EMAIL_OPENED)
    assert opened.attributes["by"] == "pixel"
    several = tell("emails", ToAddress="ada@acme.example; bob@acme.example", **seen)
    assert [one.kind for one in several] == [ActivityKind.EMAIL_SENT] * 2
    (received,) = tell("emails", FromAddress="ada@acme.example", Incoming="true", **seen)
    assert (received.kind, received.attributes["event"]) == (ActivityKind.OTHER, "email_received")


def test_a_word_nobody_knows_is_kept() -> None:
    (odd,) = tell("tasks", WhoId=LEAD, TaskSubtype="Hologram")
    assert (odd.kind, odd.attributes["type"]) == (ActivityKind.OTHER, "hologram")
    assert isinstance(tell("tasks", WhoId="a0X5500001QdQWaEAN"), str)


def test_a_won_deal_is_one_purchase_of_each_who_had_a_role() -> None:
    row: dict[str, Any] = {
        "OpportunityId": "006",
        "StageName": "Won",
        "Opportunity.StageName": "Won",
        "Opportunity.IsWon": "true",
    }
    found = tell("opportunities", (CONTACT, LEAD), Amount="500.0", **row)
    bought = [one for one in found if one.kind is ActivityKind.PURCHASE]
    assert [one.attributes["amount"] for one in bought] == [500.0, 500.0]
    earlier = tell("opportunities", (CONTACT,), **{**row, "StageName": "Prospecting"})
    assert [one.kind for one in earlier] == [ActivityKind.DEAL_STAGE_CHANGED]


# --- limits and errors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "share"),
    [
        ("api-usage=10018/100000", 0.10018),
        ("api-usage=250/1000; per-app-api-usage=17/250(appName=sample-app)", 0.25),
        ("api-bursts=1/750; api-usage=5/10", 0.5),
        ("per-app-api-usage=17/250(appName=x)", 0.0),
        ("api-usage=1/0", 0.0),
        ("", 0.0),
        ("nonsense", 0.0),
    ],
)
def test_the_figure_of_the_quota_is_found_wherever_it_stands(header: str, share: float) -> None:
    usage = Usage()
    note_usage(usage, header)
    assert usage.share == share


ODD: list[Any] = [None, [], {}, "<html>", [1], [{"errorCode": None}], {"error": "x"}, [{"message": {}}], 3]


@pytest.mark.parametrize("body", ODD, ids=repr)
@pytest.mark.parametrize("status", [300, 400, 401, 403, 404, 405, 410, 412, 414, 415, 420, 428, 429, 431, 500, 503])
def test_whatever_an_error_looks_like_it_has_a_name(status: int, body: Any) -> None:
    assert isinstance(by_status("leads", status, problems_of(body)), VendorError)


def test_a_retired_version_and_a_missing_edition_need_an_operator() -> None:
    gone = by_status("leads", 410, problems_of([{"errorCode": "GONE", "message": "retired"}]))
    assert isinstance(gone, NeedsOperator)
    assert "api_version" in gone.problem
    disabled = [{"errorCode": "API_DISABLED_FOR_ORG", "message": "The REST API is not enabled"}]
    assert isinstance(by_status("leads", 403, problems_of(disabled)), NeedsOperator)
    bulk = by_status("leads.bulk", 400, problems_of([{"errorCode": "LIMIT_EXCEEDED", "message": "quota"}]))
    assert isinstance(bulk, RetryLater)

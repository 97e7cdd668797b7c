"""What a change event says of itself: its bitmaps, gaps, and whose write it was (fault 21; vendor page, 6.4)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.salesforce.change_events import fields_of, read_change

PERSON = {"type": "record", "name": "Switchable_PersonName", "fields": [
    {"name": "Salutation"}, {"name": "FirstName"}, {"name": "LastName"}]}  # fmt: skip
SCHEMA = {"fields": [
    {"name": "ChangeEventHeader"}, {"name": "Name", "type": ["null", PERSON]}, {"name": "Title"}, {"name": "Status"},
    {"name": "LastModifiedDate"}, {"name": "Score__c"}]}  # fmt: skip


def ids() -> tuple[str, str]:
    from connectors.salesforce.ids import long_id

    found = long_id("00Q550000000001"), long_id("00Q550000000002")
    assert found[0]
    assert found[1]
    return found[0], found[1]


def event(**header: Any) -> dict[str, Any]:
    told = {"entityName": "Lead", "recordIds": [ids()[0]], "changeType": "UPDATE", "commitUser": "005550000000001",
            "changeOrigin": "com/salesforce/api/rest/65.0;client=leadbridge", "changedFields": ["0x30"]}  # fmt: skip
    return {"ChangeEventHeader": told | header}


@pytest.mark.parametrize(
    ("bitmaps", "names"),
    [
        (["0x4"], {"Title"}),
        (["0x0C"], {"Title", "Status"}),
        (["0x000000000000000000000C"], {"Title", "Status"}),
        (["0x10", "1-0x6"], {"LastModifiedDate", "Name.FirstName", "Name.LastName"}),
        ([], set()),
        (["0x0"], set()),
        (["0x80"], {"? 7"}),
        (["9-0x1"], {"? 9-0x1"}),
        (["1-0x8"], {"Name.? 3"}),
        (["Title"], {"? Title"}),
    ],
)
def test_bit_n_from_the_right_is_field_n_of_the_schema(bitmaps: list[str], names: set[str]) -> None:
    assert fields_of(bitmaps, SCHEMA) == names


@given(st.sets(st.integers(0, 199)))
def test_every_set_of_fields_comes_back_from_its_bitmap(places: set[int]) -> None:
    schema = {"fields": [{"name": f"F{n}"} for n in range(200)]}
    bitmap = f"0x{sum(1 << place for place in places):050X}"
    assert fields_of([bitmap], schema) == {f"F{place}" for place in places}


@pytest.mark.parametrize("kind", ["CREATE", "UPDATE", "DELETE", "UNDELETE", "GAP_UPDATE", "GAP_DELETE", "NEW_KIND"])
def test_an_event_names_all_its_records(kind: str) -> None:
    ada, bob = ids()
    found = read_change(event(changeType=kind, recordIds=[ada, bob[:15], ada]), SCHEMA)
    assert (found.records, found.partial, found.missed) == ((ada, bob), False, "")


@pytest.mark.parametrize(
    "header",
    [
        {"changeType": "GAP_OVERFLOW", "recordIds": ["000000000000000AAA"]},
        {"changeType": "GAP_UPDATE", "recordIds": ["00Q*"]},
        {"changeType": "GAP_CREATE", "recordIds": []},
        {"recordIds": None},
    ],
)
def test_an_event_that_does_not_name_every_record_is_a_gap(header: dict[str, Any]) -> None:
    found = read_change(event(**header), SCHEMA)
    assert found.partial
    assert found.missed
    assert found.records == ()


def test_what_a_gap_names_beside_a_wildcard_is_kept() -> None:
    found = read_change(event(changeType="GAP_UPDATE", recordIds=[ids()[0], "00Q*"]), SCHEMA)
    assert (found.records, found.partial) == ((ids()[0],), True)


@pytest.mark.parametrize(
    ("header", "echo"),
    [
        ({}, True),
        ({"changedFields": ["0x20"]}, True),
        ({"changedFields": ["0x34"]}, False),  # a flow changed the title along with it
        ({"nulledFields": ["0x4"]}, False),
        ({"changedFields": ["0x10", "1-0x2"]}, False),
        ({"changedFields": []}, False),  # nothing told: nothing known
        ({"changeOrigin": "com/salesforce/api/rest/65.0;client=leadbridge2"}, False),
        ({"changeOrigin": "com/salesforce/api/rest/65.0"}, False),
        ({"commitUser": "005550000000003"}, False),
        ({"changeType": "CREATE"}, False),
        ({"changeType": "GAP_UPDATE"}, False),
        ({"recordIds": ["00Q*"]}, False),
    ],
)
def test_an_echo_is_our_write_of_our_fields_and_nothing_else(header: dict[str, Any], echo: bool) -> None:
    found = read_change(event(**header), SCHEMA)
    assert found.is_echo("leadbridge", "005550000000001", {"Score__c"}) is echo


@pytest.mark.parametrize("record", [{}, {"ChangeEventHeader": None}])
def test_an_event_without_a_header_is_refused(record: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        read_change(record, SCHEMA)

"""What goes in comes out, the same from both databases, whatever people type (reliability G9)."""

import math
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadbridge.store import Store, audit, leads, watermarks
from leadbridge.store.text import KEY_LIMIT, clean_key, clean_text, from_micros, settle, to_micros, unsettle
from tests.helpers.store_people import NOW, people

# Every code point, surrogates and NUL included, and some that have broken databases before.
WILD = st.text(st.characters(), max_size=40) | st.sampled_from(
    [
        "\0",
        "\ud800",
        "\udfff\ud800",
        "\x01tnot a date",
        "\x01",
        "👩‍👩‍👧",
        "\u202e",
        "{}",
        "' OR 1=1 --",
        "\\u0000",
        "\ufffd",
    ]
)
INSTANTS = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-9, minutes=-30))]))
VALUES = st.one_of(
    WILD, st.integers(), st.integers(2**62, 2**70), st.floats(), st.booleans(), st.none(), INSTANTS, st.dates()
)


def _held(value: Any) -> Any:
    """What a store makes of a value; written without its code."""
    if isinstance(value, str):
        return "".join("\ufffd" if c == "\0" or 0xD800 <= ord(c) <= 0xDFFF else c for c in value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and not isinstance(value, bool):
        return value if -(2**63) <= value < 2**63 else float(value)
    return value


in_a_store = settings(max_examples=40)


@in_a_store
@given(rows=st.lists(st.dictionaries(WILD.filter(bool), VALUES, max_size=4), min_size=1, max_size=5), email=WILD)
def test_attributes_come_back_as_they_were(store: Store, rows: list[dict[str, Any]], email: str) -> None:
    with store.writing() as tx:
        ids = people(tx, len(rows))
        leads.save_people(tx, [leads.PersonRow(i, email, row) for i, row in zip(ids, rows, strict=True)], NOW)
        found = leads.people(tx, ids)
    for person, row in zip(ids, rows, strict=True):
        expected = {_held(name): _held(value) for name, value in row.items()}
        got = found[person].attributes
        assert got == expected
        assert {name: type(value) for name, value in got.items()} == {n: type(v) for n, v in expected.items()}
        assert found[person].email == _held(email)


@in_a_store
@given(at=INSTANTS)
def test_an_instant_comes_back_to_the_microsecond_in_utc(store: Store, at: datetime) -> None:
    with store.writing() as tx:
        watermarks.save_progress(tx, "hubspot", "leads", {}, at)
        (row,) = watermarks.listing(tx)
    inside = datetime.min.replace(tzinfo=UTC) <= at <= datetime.max.replace(tzinfo=UTC)
    assert row.at == at or not inside
    assert row.at.tzinfo is UTC


@in_a_store
@given(keys=st.lists(WILD, min_size=1, max_size=6, unique=True))
def test_different_keys_stay_different_and_are_found_again(store: Store, keys: list[str]) -> None:
    with store.writing() as tx:
        ids = people(tx, len(keys))
        owners = dict(zip(keys, ids, strict=True))
        leads.link_keys(tx, owners)
        assert leads.people_by_key(tx, keys) == owners


def test_a_key_of_any_length_is_kept_apart_from_its_neighbour(store: Store) -> None:
    keys = ["k" * 10_000, "k" * 10_000 + "!", "é" * KEY_LIMIT, "k" * KEY_LIMIT]
    with store.writing() as tx:
        owners = dict(zip(keys, people(tx, 4), strict=True))
        leads.link_keys(tx, owners)
        assert leads.people_by_key(tx, [*keys, "k"]) == owners


def test_text_is_ordered_by_code_point_on_both_databases(store: Store) -> None:
    streams = ["b", "B", "ä", "a", "Z", "_", "é"]
    with store.writing() as tx:
        for stream in streams:
            watermarks.save_progress(tx, "hubspot", stream, {}, NOW)
        assert [row.stream for row in watermarks.listing(tx)] == sorted(streams)


def test_an_instant_without_a_zone_is_refused(store: Store) -> None:
    with pytest.raises(Exception, match="an instant needs a time zone"), store.writing() as tx:
        watermarks.save_progress(tx, "hubspot", "leads", {}, datetime(2026, 1, 1))  # noqa: DTZ001


def test_what_is_no_value_is_refused(store: Store) -> None:
    with pytest.raises(Exception, match="bytes cannot be stored"), store.writing() as tx:
        audit.note(tx, "ada", "tried", {"raw": b"bytes"}, NOW)


def test_numbers_of_numpy_are_numbers() -> None:
    assert settle({"a": np.int64(7), "b": np.float64(2.5), "c": np.float32(0.5)}) == {"a": 7, "b": 2.5, "c": 0.5}


@given(WILD | st.text(max_size=2000))
def test_cleaning_text_never_fails_and_is_done_once(text: str) -> None:
    cleaned = clean_text(text)
    cleaned.encode()
    assert "\0" not in cleaned
    assert clean_text(cleaned) == cleaned
    assert clean_key(clean_key(text)) == clean_key(text)
    assert len(clean_key(text).encode()) <= KEY_LIMIT


@given(st.text(), st.text())
def test_two_keys_never_become_one(one: str, other: str) -> None:
    assert (clean_key(one) == clean_key(other)) == (one == other)


@given(INSTANTS.filter(lambda at: at.year not in (1, 9999)))
def test_microseconds_and_instants_are_one(at: datetime) -> None:
    assert from_micros(to_micros(at)) == at


@given(st.recursive(WILD | st.dates() | st.none(), lambda part: st.lists(part, max_size=3), max_leaves=8))
def test_settled_values_come_back(value: Any) -> None:
    def held(part: Any) -> Any:
        return [held(each) for each in part] if isinstance(part, list) else _held(part)

    assert unsettle(settle(value)) == held(value)


def test_a_date_is_not_an_instant() -> None:
    value = unsettle(settle({"on": date(2026, 2, 28)}))
    assert value == {"on": date(2026, 2, 28)}
    assert not isinstance(value["on"], datetime)

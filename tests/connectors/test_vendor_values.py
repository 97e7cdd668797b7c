"""Text as vendors send it to values, and values to the text that is written back."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.values import LARGEST, Unreadable, as_text, clean, moment, number_text, same_number, typed
from connectors.written import Target, difference
from leadbridge.types import Value

FIELD_TYPES = ["text", "integer", "number", "boolean", "date", "datetime"]


@pytest.mark.parametrize(
    ("raw", "wanted", "value"),
    [
        (" CTO ", "text", "CTO"),
        ("", "text", None),
        (None, "integer", None),
        ("   ", "number", None),
        ("120", "integer", 120),
        ("120.0", "integer", 120),
        ("119.5", "integer", 120),
        ("-3", "integer", -3),
        ("12.5", "number", 12.5),
        ("1e3", "number", 1000.0),
        ("true", "boolean", True),
        ("FALSE", "boolean", False),
        ("2026-05-05", "date", date(2026, 5, 5)),
        ("2026-05-05T23:10:00Z", "date", date(2026, 5, 5)),
        ("1778022600000", "datetime", datetime(2026, 5, 5, 23, 10, tzinfo=UTC)),
        ("2026-05-05T23:10:00.250Z", "datetime", datetime(2026, 5, 5, 23, 10, 0, 250000, tzinfo=UTC)),
        ("2026-05-05T23:10:00+02:00", "datetime", datetime(2026, 5, 5, 21, 10, tzinfo=UTC)),
        ("2026-05-05", "datetime", datetime(2026, 5, 5, tzinfo=UTC)),
    ],
)
def test_text_becomes_the_value_its_type_says(raw: str | None, wanted: str, value: Value) -> None:
    found = typed(raw, wanted)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("wanted", FIELD_TYPES)
@pytest.mark.parametrize("raw", ["Select", " select ", "n/a"])
def test_words_that_mean_nothing_known_are_unknown_in_every_type(wanted: str, raw: str) -> None:
    assert typed(raw, wanted, ["Select", "N/A"]) is None


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        ("5-25", "integer"),
        ("1,000", "integer"),
        ("NaN", "number"),
        ("1_000", "number"),
        ("1_000", "integer"),
        ("Infinity", "number"),
        (str(LARGEST + 1), "integer"),
        ("maybe", "boolean"),
        ("05/05/2026", "date"),
        ("0001-01-01T00:00:00+14:00", "datetime"),
        ("99999999999999999999", "datetime"),
        ("²", "integer"),
    ],
)
def test_what_is_no_value_of_the_type_is_unreadable(raw: str, wanted: str) -> None:
    with pytest.raises(Unreadable):
        typed(raw, wanted)


@given(st.text(), st.sampled_from(FIELD_TYPES))
def test_no_text_does_worse_than_being_unreadable(raw: str, wanted: str) -> None:
    try:
        value = typed(raw, wanted)
    except Unreadable:
        return
    if isinstance(value, str):
        assert "\x00" not in value
        assert value.encode()
    if isinstance(value, datetime):
        assert value.utcoffset() == timedelta(0)
    if isinstance(value, int):
        assert abs(value) <= LARGEST


def test_half_a_surrogate_and_a_nul_never_reach_a_store() -> None:
    assert clean("a\x00b\ud800c").encode() == b"ab?c"


def test_a_moment_is_an_instant_or_nothing() -> None:
    assert moment("2026-01-05T22:51:56+00:00") == datetime(2026, 1, 5, 22, 51, 56, tzinfo=UTC)
    assert moment("") is None
    assert moment("yesterday") is None


# --- back to text ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [(72, "72"), (72.0, "72"), (72.04, "72"), (72.05, "72.1"), (-0.04, "0"), (1e15, "1000000000000000"), (0, "0")],
)
def test_the_same_number_is_always_the_same_text(value: float, text: str) -> None:
    assert number_text(value) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), True, 1e300])
def test_what_is_no_usable_number_is_never_written(value: float) -> None:
    assert number_text(value) is None
    assert difference(Target("score", "s", "number"), value, {"s": "5"}, str) is None


@given(st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6))
def test_a_number_written_is_a_number_unchanged(value: float) -> None:
    target = Target("score", "s", "number")
    text = difference(target, value, {}, str)
    assert text is not None
    for held in (text, f"{text}.0" if "." not in text else f"{text}0", f" {text}"):
        assert difference(target, value, {"s": held}, str) is None


@given(st.text())
def test_a_text_written_is_a_text_unchanged(value: str) -> None:
    target = Target("reasons", "r", "text")
    text = difference(target, value, {}, lambda text: text[:50])
    held = text or ""
    assert difference(target, value, {"r": held}, lambda text: text[:50]) is None
    assert difference(target, value, {"r": held.replace("\n", "\r\n") + "  "}, lambda text: text[:50]) is None


def test_no_value_clears_what_is_held_and_only_that() -> None:
    target = Target("grade", "g", "choice", ("A",))
    assert difference(target, None, {"g": "A"}, str) == ""
    assert difference(target, None, {"g": ""}, str) is None
    assert difference(target, None, {}, str) is None


def test_texts_that_are_no_numbers_are_not_the_same_number() -> None:
    assert not same_number("", "0")
    assert not same_number("a", "a")
    assert not same_number("NaN", "NaN")


def test_an_instant_is_written_in_utc() -> None:
    at = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert as_text(at, "text") == "2026-01-01T10:00:00+00:00"

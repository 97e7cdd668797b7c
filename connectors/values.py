"""Text as vendors send it to values as we hold them, and back (reliability G9: only what both stores can keep)."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache

from leadbridge.types import Value

LARGEST = 2**63 - 1
"""Whole numbers beyond this fit no store."""

_YES, _NO = {"true", "yes", "1"}, {"false", "no", "0"}
_EARLIEST, _LATEST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)


class Unreadable(ValueError):
    """The text is not a value of the wanted type."""


def clean(text: str) -> str:
    """Text that every store can hold: no NUL, no half of a surrogate pair."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def typed(raw: str | None, wanted: str, empty: Sequence[str] = ()) -> Value:
    """The value a vendor's text means, for a type of `config.fields.FieldType`.

    None and "" are unknown, and so are the words in `empty` (without regard to case). Raises Unreadable.
    """
    text = clean(raw or "").strip()
    if not text or text.casefold() in {word.strip().casefold() for word in empty}:
        return None
    match wanted:
        case "integer":
            return _integer(text)
        case "number":
            return float(_decimal(text))
        case "boolean":
            return _boolean(text)
        case "date":
            at = _instant(text)
            return at.date() if isinstance(at, datetime) else at
        case "datetime":
            at = _instant(text)
            return at if isinstance(at, datetime) else datetime(at.year, at.month, at.day, tzinfo=UTC)
        case _:
            return text


def _decimal(text: str) -> Decimal:
    try:
        found = Decimal(text)
    except InvalidOperation:
        raise Unreadable(text) from None
    if "_" in text:  # Python would read 1_000, which conditions take for no number
        raise Unreadable(text)
    if not found.is_finite() or abs(found) > LARGEST:
        raise Unreadable(text)
    return found


def _integer(text: str) -> int:
    return int(_decimal(text).to_integral_value(ROUND_HALF_UP))


def _boolean(text: str) -> bool:
    word = text.lower()
    if word in _YES | _NO:
        return word in _YES
    raise Unreadable(text)


def _instant(text: str) -> datetime | date:
    """A calendar date, or an instant in UTC: ISO 8601 (without a zone: UTC), or milliseconds since 1970."""
    try:
        if text.lstrip("-").isdigit() and len(text) > 8:
            return datetime.fromtimestamp(int(text) / 1000, UTC)
        if len(text) == 10:
            return date.fromisoformat(text)
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        raise Unreadable(text) from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    if not _EARLIEST <= at <= _LATEST:  # a zone could carry it out of the calendar
        raise Unreadable(text)
    return at.astimezone(UTC)


def moment(text: str | None) -> datetime | None:
    """An instant of a vendor's answer, in UTC, or None when it is absent or unreadable."""
    try:
        found = typed(text, "datetime")
    except Unreadable:
        return None
    return found if isinstance(found, datetime) else None


def kept(told: Mapping[str, str | float | int | bool | None]) -> dict[str, str | float | int | bool]:
    """What is known of an activity, as any store can hold it; what has no value is left out."""
    return {
        name: clean(value) if isinstance(value, str) else value
        for name, value in told.items()
        if value is not None and value != ""
    }


# --- back to text ----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096, typed=True)  # scores are few numbers
def number_text(value: float) -> str | None:
    """A number with at most one decimal, half up, no exponent: the same number is the same text. None if unusable."""
    if isinstance(value, bool) or not math.isfinite(value) or abs(value) > LARGEST:
        return None
    rounded = Decimal(str(value)).quantize(Decimal("0.1"), ROUND_HALF_UP) + 0  # + 0: there is no "-0"
    whole = rounded.to_integral_value()
    return f"{whole:f}" if whole == rounded else f"{rounded:f}"


def same_number(one: str, other: str) -> bool:
    """Do two texts mean the same number after our rounding? False when one of them is no number."""
    try:
        found = [number_text(float(Decimal(text))) for text in (one, other)]
    except (InvalidOperation, OverflowError, ValueError):
        return False
    return found[0] is not None and found[0] == found[1]


def as_text(value: Value, kind: str) -> str | None:
    """Our value as text for a property of this kind ("number", "text", "choice", "date").

    "" when there is no value; None when the value is unusable (not a number) and must not be written at all.
    """
    if value is None:
        return ""
    if kind == "number":
        return number_text(value) if isinstance(value, int | float) else None
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds")
    return clean(str(value)).strip()

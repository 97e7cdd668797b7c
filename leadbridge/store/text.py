"""What text and numbers the stores can hold, settled here once for both (reliability G9). Pure."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from numbers import Integral, Real
from typing import Any

KEY_LIMIT = 400
"""Longest key kept as it is, in UTF-8 bytes; PostgreSQL indexes nothing much longer than 2,700."""

REPLACED = "\ufffd"

_UNSAFE = dict.fromkeys([0, *range(0xD800, 0xE000)], REPLACED)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_INT64 = 2**63

# Inside JSON, text beginning with this is not plain text: a date, an instant, or text that began so itself.
_MARK = "\x01"


def clean_text(text: str) -> str:
    """The text with what PostgreSQL cannot hold (NUL, lone surrogates) replaced by U+FFFD. Never raises."""
    if text.isascii():
        return text.replace("\0", REPLACED) if "\0" in text else text
    return text.translate(_UNSAFE)


def is_clean(texts: Sequence[str | None], limit: int | None = None) -> bool:
    """Would cleaning leave every one of these as it is (with a limit: also for an index of this)? No may be wrong."""
    known = [text for text in texts if text is not None]
    joined = "".join(known)
    return joined.isascii() and "\0" not in joined and (limit is None or max(map(len, known), default=0) <= limit)


def clean_key(text: str) -> str:
    """The text fit for an index. Different keys stay different: what is cut or replaced is made up for by a hash."""
    if text.isascii() and len(text) <= KEY_LIMIT and "\0" not in text:
        return text
    cleaned = clean_text(text)
    if cleaned == text and len(text.encode()) <= KEY_LIMIT:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{cleaned[:60]}#{digest}"


def to_micros(at: datetime) -> int:
    """Microseconds since 1970 in UTC. Raises ValueError for an instant without a zone."""
    if at.tzinfo is None:
        raise ValueError("an instant needs a time zone; give it UTC")
    return min(max((at - _EPOCH) // _MICROSECOND, _FIRST), _LAST)


def from_micros(micros: int) -> datetime:
    """The instant, with zone UTC."""
    return _EPOCH + timedelta(microseconds=micros)


def settle(value: Any) -> Any:
    """A value as JSON both stores can hold; `unsettle` gives it back.

    NaN and infinities become None (unknown), whole numbers beyond 64 bits the nearest float, text is cleaned. Raises
    TypeError for what is no value of ours.
    """
    match value:
        case None | bool():
            return value
        case str():
            text = clean_text(value)
            return _MARK + "s" + text if text.startswith(_MARK) else text
        case float():
            return float(value) if math.isfinite(value) else None
        case int():
            return int(value) if -_INT64 <= value < _INT64 else settle(_as_float(int(value)))
        case datetime():
            return f"{_MARK}t{from_micros(to_micros(value)).isoformat()}"
        case date():
            return f"{_MARK}d{value.isoformat()}"
        case Mapping():
            return {clean_text(str(name)): settle(part) for name, part in value.items()}
        case list() | tuple():
            return [settle(part) for part in value]
        case Integral():  # NumPy's, for one
            return settle(int(value))
        case Real():
            return settle(float(value))
    raise TypeError(f"{type(value).__name__} cannot be stored")


def _as_float(whole: int) -> float:
    try:
        return float(whole)
    except OverflowError:
        return math.inf


def unsettle(value: Any) -> Any:
    """The value that `settle` was given, as far as it could be held."""
    match value:
        case str() if value.startswith(_MARK):
            match value[1:2]:
                case "t":
                    return datetime.fromisoformat(value[2:])
                case "d":
                    return date.fromisoformat(value[2:])
            return value[2:]
        case dict():
            return {name: unsettle(part) for name, part in value.items()}
        case list():
            return [unsettle(part) for part in value]
    return value


MARK_IN_JSON = "\\u0001"
"""How JSON spells the mark: text without it needs no `unsettle`."""

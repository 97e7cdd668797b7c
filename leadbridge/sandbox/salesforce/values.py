"""Whether a value fits a field, and how a row holds it (vendor page, sections 2.2 and 4.4)."""

import math
import re
from datetime import date, datetime
from typing import Any

from leadbridge.sandbox.salesforce import ids
from leadbridge.sandbox.salesforce.answers import Refused, RowError, read_instant, stamp
from leadbridge.sandbox.salesforce.fields import NUMBERS, TEXT, Field
from leadbridge.sandbox.salesforce.kinds import KINDS

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")


def accept(field: Field, value: object) -> Any:
    """The value as rows hold it: JSON types, dates and instants as sortable text.

    RowError for a value that does not fit; Refused (JSON_PARSER_ERROR) for one of another JSON type.
    """
    if value is None or value == "":
        if field.type == "boolean":
            raise _unreadable(field, value)
        return None
    if field.type in TEXT:
        return _text(field, value)
    if field.type in NUMBERS:
        return _number(field, value)
    if field.type == "boolean":
        return _flag(field, value)
    if field.type == "reference":
        return _reference(field, value)
    return _moment(field, value)


def from_cell(cell: str) -> object:
    """A CSV cell as the JSON value it stands for; ``#N/A`` is null (section 4.6)."""
    return None if cell == "#N/A" else cell


def _text(field: Field, value: object) -> str:
    if not isinstance(value, str):
        raise _unreadable(field, value)
    if len(value) > field.length:
        shown = value[:255]
        message = f"{field.label}: data value too large: {shown} (max length={field.length})"
        raise RowError("STRING_TOO_LONG", message, [field.name])
    if field.type == "email" and not _EMAIL.fullmatch(value):
        raise RowError("INVALID_EMAIL_ADDRESS", f"{field.label}: invalid email address: {value}", [field.name])
    if field.restricted and value not in field.values:
        message = f"{field.label}: bad value for restricted picklist field: {value}"
        raise RowError("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, [field.name])
    return value


def _number(field: Field, value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _unreadable(field, value)
    try:
        number = float(value)
    except ValueError:
        raise _unreadable(field, value) from None
    if field.type == "int":
        if not number.is_integer():
            raise _unreadable(field, value)
        if abs(number) >= 2**31:
            raise _out_of_range(field, value)
        return int(number)
    whole = 10 ** (field.precision - field.scale)
    number = round(number, field.scale) if math.isfinite(number) else number
    if not abs(number) < whole:  # NaN too
        raise _out_of_range(field, value)
    return number


def _flag(field: Field, value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false", "1", "0"):
        return value.lower() in ("true", "1")
    raise _unreadable(field, value)


def _reference(field: Field, value: object) -> str:
    record_id = ids.read(value)
    prefixes = {KINDS[name].prefix for name in field.refers_to if name in KINDS}
    if record_id is None or (prefixes and record_id[:3] not in prefixes | {"00G"}):
        raise RowError("MALFORMED_ID", f"{field.label}: id value of incorrect type: {value}", [field.name])
    return record_id


def _moment(field: Field, value: object) -> str:
    if not isinstance(value, str):
        raise _unreadable(field, value)
    try:
        if field.type == "date":
            return date.fromisoformat(value[:10]).isoformat()
        if "T" not in value:
            return stamp(datetime.fromisoformat(f"{value}T00:00:00+00:00"))
        return stamp(read_instant(value))
    except ValueError:
        raise _unreadable(field, value) from None


def _out_of_range(field: Field, value: object) -> RowError:
    message = f"{field.label}: value outside of valid range on numeric field: {value}"
    return RowError("NUMBER_OUTSIDE_VALID_RANGE", message, [field.name])


def _unreadable(field: Field, value: object) -> Refused:
    kind = {bool: "BOOLEAN", int: "NUMBER_INT", float: "NUMBER_FLOAT", str: "STRING"}.get(type(value), "OBJECT")
    return Refused(
        400, "JSON_PARSER_ERROR", f"Cannot deserialize instance of {field.type} from VALUE_{kind} value {value}"
    )

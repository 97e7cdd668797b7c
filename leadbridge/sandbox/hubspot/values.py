"""What HubSpot takes as a property value, and how it stores it (vendor page, sections 5, 5.2 and 14.3)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from leadbridge.sandbox.hubspot.answers import BadValue, iso_ms
from leadbridge.sandbox.hubspot.definitions import Property

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_WHOLE = re.compile(r"-?\d+")
_EMAIL = re.compile(r"[^@\s,;<>()]+@[^@\s,;<>()]+\.[^@\s.,;<>()]{2,}")
_DAY_MS = 86_400_000


class NotTaken(Exception):
    """A value HubSpot refuses; becomes one entry of the 400 of section 14.3."""

    def __init__(self, bad: BadValue) -> None:
        super().__init__(bad.message)
        self.bad = bad


@dataclass(frozen=True, slots=True)
class Normalised:
    """A date 2026-09 took but rounded; told in ``warnings`` (section 2, second table)."""

    name: str
    raw: str
    value: str

    def as_json(self) -> dict[str, object]:
        return {
            "category": "PROPERTY_VALUE_NORMALIZED",
            "context": {"propertyName": [self.name], "rawValue": [self.raw], "normalizedValue": [self.value]},
        }


def as_text(raw: object) -> str | None:
    """A JSON value as HubSpot reads it: everything is text, null says nothing."""
    if raw is None:
        return None
    if isinstance(raw, bool):
        return "true" if raw else "false"
    return str(raw)


def checked(prop: Property, value: str, stored: str, *, lenient_dates: bool) -> tuple[str, Normalised | None]:
    """The value to store, or NotTaken. ``""`` clears whatever the type."""
    if value == "":
        return "", None
    if prop.type in ("number", "date", "datetime", "bool", "enumeration"):
        value = value.strip()
    if prop.type == "number":
        if not _NUMBER.fullmatch(value):
            raise _not_taken(prop, "INVALID_INTEGER", f"{prop.name} was not a valid number")
        return value, None
    if prop.type in ("date", "datetime"):
        return _date(prop, value, lenient_dates)
    if prop.type in ("bool", "enumeration"):
        return _option(prop, value, stored), None
    if prop.name == "email":
        value = value.strip().lower()
        if not _EMAIL.fullmatch(value):
            raise _not_taken(prop, "INVALID_EMAIL", f"Email address {value} is invalid")
    return value, None


def _not_taken(prop: Property, code: str, message: str) -> NotTaken:
    return NotTaken(BadValue(prop.name, code, message))


def _option(prop: Property, value: str, stored: str) -> str:
    if prop.external_options:
        return value
    chosen = [part for part in value.split(";") if part] if prop.multiple else [value]
    allowed = {option.value for option in prop.options}
    for part in chosen:
        if part not in allowed:
            listed = ", ".join(f'label: "{o.label}"\nvalue: "{o.value}"\n' for o in prop.options)
            raise _not_taken(prop, "INVALID_OPTION", f"{part} was not one of the allowed options: [{listed}]")
    if prop.multiple and value.startswith(";"):
        chosen = [part for part in stored.split(";") if part] + chosen
    return ";".join(dict.fromkeys(chosen))


def _date(prop: Property, value: str, lenient: bool) -> tuple[str, Normalised | None]:
    ms = instant_ms(value)
    if ms is None:
        raise _not_taken(prop, "INVALID_LONG", f"{value} was not a valid long.")
    if prop.type == "datetime":
        return iso_ms(ms), None
    day = iso_ms(ms)[:10]
    if ms % _DAY_MS == 0:
        return day, None
    if not lenient:
        at = datetime.fromtimestamp(ms / 1000, UTC)
        raise _not_taken(prop, "INVALID_DATE", f"{value} is at {at:%H:%M:%S} UTC, not midnight!")
    return day, Normalised(prop.name, value, day)


@lru_cache(maxsize=65536)
def instant_ms(value: str) -> int | None:
    """Epoch milliseconds of a date, an ISO instant or a number of milliseconds; None for anything else."""
    if _WHOLE.fullmatch(value):
        return int(value) if len(value) <= 14 else None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def rank(prop: Property, value: str) -> int | None:
    """The place of a lifecycle stage in its definition's order; None for no stage."""
    return next((option.displayOrder for option in prop.options if option.value == value), None)


def moves_back(prop: Property, properties: Mapping[str, str], value: str) -> bool:
    """Whether a stage write goes against the order, which HubSpot drops without a word (section 8.5)."""
    now, then = rank(prop, properties.get(prop.name, "")), rank(prop, value)
    return now is not None and then is not None and then < now

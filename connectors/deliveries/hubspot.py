"""HubSpot's deliveries: a JSON array of events. Source: vendors/hubspot.md section 10."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from connectors.deliveries.reading import Event, Unfit, canonical, items
from connectors.events import HUBSPOT_KINDS, hubspot_type, instant, number_id
from leadbridge.types import EventKind

_LONGEST_TEXT = 1000


def _is_number(value: Any) -> bool:
    return number_id(value) is not None


def _is_text(value: Any) -> bool:
    """Text that both stores can hold: PostgreSQL takes no NUL, neither takes half a surrogate pair."""
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT or "\0" in value:
        return False
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_number, value))


def _is_event_id(value: Any) -> bool:
    return _is_text(value) or (isinstance(value, int) and not isinstance(value, bool))


# Every field we read, and what it must be when it is there and not null. Other fields ride along unread.
_FIELDS: Mapping[str, Callable[[Any], bool]] = {
    "eventId": _is_event_id,
    **dict.fromkeys(("portalId", "objectId", "primaryObjectId", "newObjectId"), _is_number),
    **dict.fromkeys(("fromObjectId", "toObjectId"), _is_number),
    **dict.fromkeys(("subscriptionType", "eventType", "propertyName", "changeSource"), _is_text),
    **dict.fromkeys(("associationType", "objectTypeId", "fromObjectTypeId", "toObjectTypeId"), _is_text),
    "mergedObjectIds": _is_numbers,
    "occurredAt": lambda value: _is_number(value) and instant(value) is not None,
}

# What tells two events apart (section 10.3, and the subscription): `attemptNumber` is not among them, as it differs
# between two tries of one.
_NUMBERS_IN_KEY = ("portalId", "objectId", "primaryObjectId", "newObjectId", "fromObjectId", "toObjectId")
_OTHERS_IN_KEY = (
    "eventId", "occurredAt", "subscriptionId", "objectTypeId", "propertyName", "messageId",
    "associationType", "associationTypeId", "associationRemoved", "isPrimaryAssociation",
)  # fmt: skip

# The records a kind is about; without any of them there is nothing to look at.
_SUBJECTS = {
    EventKind.MERGED: ("newObjectId", "primaryObjectId", "objectId"),
    EventKind.ASSOCIATED: ("fromObjectId", "toObjectId", "objectId"),
}


def delivery_key(event: Mapping[str, Any]) -> str:
    """The same for every try of one event, different for two events (reliability G3).

    Begins with the time, so that the events of one batch are stored in their order and side by side in the index.
    """
    if event.get("eventId") is None or event.get("occurredAt") is None:
        # Too little is said to tell events apart by name, so the whole text has to.
        identity: Any = {name: value for name, value in event.items() if name != "attemptNumber"}
    else:
        merged = event.get("mergedObjectIds")
        identity = [
            hubspot_type(event),
            [number_id(event.get(name)) for name in _NUMBERS_IN_KEY],
            [event.get(name) for name in _OTHERS_IN_KEY],
            sorted(str(number_id(one)) for one in merged) if isinstance(merged, list) else [],
        ]
    return f"{event.get('occurredAt') or 0:015d}:{hashlib.sha256(canonical(identity)).hexdigest()}"


def fault_of(event: Any, portal: str | None) -> str | None:
    """Why this item cannot be handled, as a stable code; None when it can. `portal`: the only account we work for."""
    if not isinstance(event, dict):
        return "not_an_event"
    for name, is_right in _FIELDS.items():
        if (value := event.get(name)) is not None and not is_right(value):
            return f"bad_{name}"
    type_ = hubspot_type(event)
    if type_ is None:
        return "no_type"
    kind = HUBSPOT_KINDS.get(type_.rpartition(".")[2])
    if kind is not None and all(event.get(name) is None for name in _SUBJECTS.get(kind, ("objectId",))):
        return "no_object"
    if portal is not None and event.get("portalId") is not None and number_id(event["portalId"]) != portal:
        return "foreign_portal"  # one app may serve several accounts (section 10.1); we work for one
    return None


def split(body: bytes, portal: str | None, _received_at: datetime) -> Sequence[Event | Unfit]:
    """The events of a delivery; `portal` is the only account we work for, where it is known."""
    return [_part(value, raw, portal) for value, raw in items(body)]


def _part(value: Any, raw: bytes, portal: str | None) -> Event | Unfit:
    if isinstance(value, Unfit):
        return value
    if (fault := fault_of(value, portal)) is not None:
        return Unfit(fault, raw)
    return Event(delivery_key(value), canonical(value))

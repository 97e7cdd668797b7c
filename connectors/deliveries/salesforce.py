"""Salesforce's deliveries: records to look at, by signed callout, outbound message or change event. All are stored
alike.

Sources: vendors/salesforce.md sections 6.2 to 6.4.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from connectors.batches import in_batches
from connectors.deliveries.reading import MAX_ITEMS, Event, Unfit, canonical, glance, items
from connectors.salesforce.ids import long_id
from leadbridge.errors import WebhookRefused

_LONGEST_TEXT = 200
_LONGEST_TOLD = 80  # what a call says once stands with each of its records: long, a megabyte would become a thousand


_TOLD = {"organization": "orgId", "event": "event", "sentAt": "sentAt"}


def of_message(organization: str, notifications: Sequence[Mapping[str, str]]) -> bytes:
    """What is stored of an outbound message. The notification's id tells two tries of one (section 6.2)."""
    return canonical(
        [
            {"organization": organization, "delivery": f"om:{note.get('id', '')}" if note.get("id") else "",
             "type": note.get("type", ""), "record": note.get("record", "")}
            for note in notifications
        ]
    )  # fmt: skip


def of_callout(body: bytes) -> bytes:
    """What is stored of a callout. Its own `id` tells two tries of one, or, without an id, all it says.

    Raises WebhookRefused: as `glance`, not_an_object, no_records, bad_id (400), too_many_events (413).
    """
    call = glance(body)
    if not isinstance(call, dict):
        raise WebhookRefused("not_an_object", 400)
    records = call.get("records")
    if not isinstance(records, list) or not records:
        raise WebhookRefused("no_records", 400)
    if len(records) > MAX_ITEMS:
        raise WebhookRefused("too_many_events", 413)
    own = call.get("id")
    if own is not None and not (isinstance(own, str) and 0 < len(own) <= _LONGEST_TEXT):
        raise WebhookRefused("bad_id", 400)
    delivery = f"call:{own}" if own else f"body:{hashlib.sha256(body).hexdigest()}"
    told = {name: _told(call.get(theirs)) for name, theirs in _TOLD.items()} | {"delivery": delivery}
    return canonical(
        [
            told | {"type": _named(one.get("type")), "record": _named(one.get("id"))} if isinstance(one, dict) else told
            for one in records
        ]
    )


def _told(value: Any) -> str | None:
    return value[:_LONGEST_TOLD] if isinstance(value, str) else None


def _named(value: Any) -> str | None:
    """A text as it is. Anything else names nothing, and is shown so in the quarantine: NaN could not be kept at all."""
    return value if value is None or isinstance(value, str) else f"({json.dumps(value)[:_LONGEST_TEXT]})"


def of_change(
    organization: str, uuid: str, type_: str, records: Sequence[str], kind: str, at: datetime | None
) -> Sequence[dict[str, Any]]:
    """What is stored of one event of the change stream: a part for each record, to be put in `of_changes`."""
    told = {"organization": organization, "delivery": f"cdc:{uuid}" if uuid else "", "event": kind}
    sent = {} if at is None else {"sentAt": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
    return [{**told, **sent, "type": type_, "record": record} for record in records]


def of_unreadable(organization: str, uuid: str, payload: bytes) -> dict[str, Any]:
    """What is stored of an event that could not be read: naming no record, it ends in quarantine with its bytes."""
    raw = base64.b64encode(payload).decode()
    return {"organization": organization, "delivery": f"cdc:{uuid}", "payload": raw}


def of_changes(parts: Sequence[Mapping[str, Any]]) -> Sequence[tuple[bytes, int]]:
    """Deliveries of these parts, each no larger than is cut at once, and how many each holds."""
    return [(canonical(some), len(some)) for some in in_batches(parts, MAX_ITEMS)]


def split(body: bytes, organization: str | None, _received_at: datetime) -> Sequence[Event | Unfit]:
    """One event for each record named."""
    return [_part(value, raw, organization) for value, raw in items(body)]


def same_organization(one: str, other: str) -> bool:
    """The first 15 characters, exactly: the rest repeats their case."""
    return len(one) in (15, 18) and one[:15] == other[:15]


def _part(value: Any, raw: bytes, organization: str | None) -> Event | Unfit:
    if isinstance(value, Unfit):
        return value
    if not isinstance(value, dict):
        return Unfit("not_an_event", raw)
    type_, record = value.get("type"), value.get("record")
    if not isinstance(type_, str) or not type_.isidentifier() or len(type_) > _LONGEST_TEXT:
        return Unfit("no_type", raw)
    if not isinstance(record, str) or (full := long_id(record)) is None:
        return Unfit("no_object", raw)
    if not value.get("delivery"):
        return Unfit("no_id", raw)
    named = value.get("organization")
    if not isinstance(named, str) or (organization is not None and not same_organization(named, organization)):
        return Unfit("foreign_organization", raw)
    key = hashlib.sha256(canonical([named[:15], value["delivery"], type_, full])).hexdigest()
    told = {name: value.get(name) for name in ("event", "sentAt")}
    return Event(key, canonical({"type": type_, "record": full, **told}))

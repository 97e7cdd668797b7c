"""What a stored webhook event means: the vendor's words in, ours out. Pure, and tolerant of what vendors leave out.

It stands here, below both, because the door (`webhooks`) and the worker (`sync`) read by the same tables.

Handled, ignored and never seen before are for the worker to tell apart by kind; a word missing from the tables below is
`EventKind.OTHER`. Sources: vendors/hubspot.md section 10.2, vendors/mailchimp.md section 11.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from connectors.values import moment
from leadbridge.addresses import canonical
from leadbridge.types import EventKind, RecordRef, SuppressionReason, WebhookEvent

HUBSPOT_KINDS = {  # the part of `subscriptionType` after the full stop
    "creation": EventKind.CREATED,
    "propertyChange": EventKind.CHANGED,
    "deletion": EventKind.DELETED,
    "privacyDeletion": EventKind.ERASED,
    "merge": EventKind.MERGED,
    "restore": EventKind.RESTORED,
    "associationChange": EventKind.ASSOCIATED,
}
HUBSPOT_OBJECTS = {"0-1": "contact", "0-2": "company", "0-3": "deal", "0-5": "ticket"}  # `objectTypeId`

SALESFORCE_KINDS = {  # `changeType` of a change event; whatever else is told of a record, it changed
    "CREATE": EventKind.CREATED,
    "DELETE": EventKind.DELETED,
    "UNDELETE": EventKind.RESTORED,
}

MAILCHIMP_KINDS = {
    "subscribe": EventKind.SUBSCRIBED,
    "unsubscribe": EventKind.UNSUBSCRIBED,
    "profile": EventKind.CHANGED,
    "cleaned": EventKind.CLEANED,
    "upemail": EventKind.EMAIL_CHANGED,
}
MAILCHIMP_REASONS = {  # (type, data[reason]); a reason we do not know still means that the address has left
    ("unsubscribe", "abuse"): SuppressionReason.COMPLAINED,
    ("cleaned", "abuse"): SuppressionReason.COMPLAINED,
}
FORGOTTEN = "@forgotten.mailchimp.com"  # stands in for an address that Mailchimp has erased


def read_event(vendor: str, body: bytes) -> WebhookEvent:
    """The event whose stored bytes are `body`. Missing or odd fields are left empty.

    Raises ValueError when the vendor has no door here, or when the bytes are no JSON object: nothing the receivers
    store, so quarantine it.
    """
    try:
        read = _READERS[vendor]
    except KeyError:
        raise ValueError(f"no webhook of {vendor!r} is known; one of: {', '.join(_READERS)}") from None
    event = json.loads(body)
    if not isinstance(event, dict):
        raise ValueError(f"a stored {vendor} event is a JSON object, this is {type(event).__name__}")  # noqa: TRY004
    return read(event)


def number_id(value: Any) -> str | None:
    """A vendor's numeric id as text; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return str(value)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 19:
        return value
    return None


def instant(milliseconds: Any) -> datetime | None:
    """An instant from epoch milliseconds; None when it is not one that a calendar holds."""
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int):
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def hubspot_type(event: Mapping[str, Any]) -> str | None:
    """`contact.propertyChange`; HubSpot's own example still calls the field `eventType`."""
    for name in ("subscriptionType", "eventType"):
        if isinstance(found := event.get(name), str) and found:
            return found
    return None


def _hubspot(event: Mapping[str, Any]) -> WebhookEvent:
    subject, _, what = (hubspot_type(event) or "").rpartition(".")
    kind = HUBSPOT_KINDS.get(what, EventKind.OTHER)
    object_type = _hubspot_object(event.get("objectTypeId")) if subject == "object" else subject
    ids: list[tuple[str, str | None]] = [(object_type, number_id(event.get("objectId")))]
    merged: tuple[str, ...] = ()
    new_id = None
    if kind is EventKind.MERGED:
        listed = event.get("mergedObjectIds")
        named = [number_id(one) for one in listed] if isinstance(listed, list) else []
        primary = number_id(event.get("primaryObjectId"))
        # Since 2025 a merge makes a new record; `objectId` may be missing or the old primary.
        new_id = number_id(event.get("newObjectId")) or primary or number_id(event.get("objectId"))
        old = dict.fromkeys([*named, primary, number_id(event.get("objectId"))])
        merged = tuple(one for one in old if one is not None and one != new_id)
        ids = [(object_type, new_id)]
    elif kind is EventKind.ASSOCIATED:
        ids = _hubspot_ends(event, object_type)
    return WebhookEvent(
        "hubspot",
        kind,
        refs=tuple(RecordRef("hubspot", type_, id_) for type_, id_ in ids if type_ and id_),
        occurred_at=instant(event.get("occurredAt")),
        merged=merged,
        new_id=new_id,
        property=_text(event.get("propertyName")),
        value=_text(event.get("propertyValue")),
        source=_text(event.get("changeSource")),
    )


def _hubspot_object(type_id: Any) -> str:
    return HUBSPOT_OBJECTS.get(type_id, type_id) if isinstance(type_id, str) else ""


def _hubspot_ends(event: Mapping[str, Any], object_type: str) -> list[tuple[str, str | None]]:
    """Both records of an association. `CONTACT_TO_COMPANY`, or type ids in the generic form."""
    named = _text(event.get("associationType")) or ""
    left, _, right = named.lower().partition("_to_")
    if not right:
        left, right = _hubspot_object(event.get("fromObjectTypeId")), _hubspot_object(event.get("toObjectTypeId"))
    return [
        (left or object_type, number_id(event.get("fromObjectId")) or number_id(event.get("objectId"))),
        (right, number_id(event.get("toObjectId"))),
    ]


def _mailchimp(event: Mapping[str, Any]) -> WebhookEvent:
    type_ = _text(event.get("type")) or ""
    kind = MAILCHIMP_KINDS.get(type_, EventKind.OTHER)
    given = [_text(event.get(f"data[{name}]")) for name in ("email", "old_email", "new_email")]
    known = dict.fromkeys(found for one in given if (found := canonical(one)) and not found.endswith(FORGOTTEN))
    left = kind in (EventKind.UNSUBSCRIBED, EventKind.CLEANED)
    usual = SuppressionReason.BOUNCED if kind is EventKind.CLEANED else SuppressionReason.UNSUBSCRIBED
    return WebhookEvent(
        "mailchimp",
        kind if known else EventKind.OTHER,
        emails=tuple(known),
        occurred_at=_mailchimp_time(event.get("fired_at")),
        source=_text(event.get("data[action]")),
        reason=MAILCHIMP_REASONS.get((type_, _text(event.get("data[reason]")) or ""), usual) if left else None,
    )


def _mailchimp_time(text: Any) -> datetime | None:
    try:
        return datetime.strptime(str(text), "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _salesforce(event: Mapping[str, Any]) -> WebhookEvent:
    type_, record = _text(event.get("type")), _text(event.get("record"))
    return WebhookEvent(
        "salesforce",
        SALESFORCE_KINDS.get(_text(event.get("event")) or "", EventKind.CHANGED),
        refs=(RecordRef("salesforce", type_, record),) if type_ and record else (),
        occurred_at=moment(_text(event.get("sentAt"))),
        source=_text(event.get("event")),
    )


_READERS: Mapping[str, Callable[[Mapping[str, Any]], WebhookEvent]] = {
    "hubspot": _hubspot,
    "mailchimp": _mailchimp,
    "salesforce": _salesforce,
}

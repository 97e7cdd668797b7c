"""Mailchimp's deliveries: one form-encoded event each. Source: vendors/mailchimp.md section 11."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import parse_qsl

from connectors.deliveries.reading import MAX_FIELDS, Event, Unfit, canonical
from connectors.events import MAILCHIMP_KINDS
from leadbridge.errors import WebhookRefused

# Fields we read, and the longest each may be. Other fields ride along unread.
_READ = {
    "type": 100, "fired_at": 100, "data[list_id]": 100, "data[action]": 100, "data[reason]": 100,
    "data[email]": 1000, "data[old_email]": 1000, "data[new_email]": 1000,
}  # fmt: skip


def form_fields(body: bytes) -> dict[str, str | list[str]]:
    """Names and values of a form; a name given several times has a list.

    Raises WebhookRefused: bad_encoding, bad_form (400), too_many_fields (413).
    """
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, strict_parsing=bool(body), errors="strict", max_num_fields=MAX_FIELDS
        )
    except UnicodeDecodeError:
        raise WebhookRefused("bad_encoding", 400) from None
    except ValueError:
        if body.count(b"&") >= MAX_FIELDS:
            raise WebhookRefused("too_many_fields", 413) from None
        raise WebhookRefused("bad_form", 400) from None
    found: dict[str, str | list[str]] = {}
    for name, value in pairs:
        match found.get(name):
            case None:
                found[name] = value
            case list() as several:
                several.append(value)
            case str() as first:
                found[name] = [first, value]
    return found


def fault_of(fields: Mapping[str, str | list[str]], audience: str | None) -> str | None:
    """Why this event cannot be handled, as a stable code; None when it can."""
    for name, longest in _READ.items():
        value = fields.get(name, "")
        if isinstance(value, list):
            return "repeated_name"
        if len(value) > longest or "\0" in value:
            return f"bad_{name.removeprefix('data[').rstrip(']')}"
    if audience is not None and fields.get("data[list_id]", audience) != audience:
        return "foreign_audience"
    if fields["type"] in MAILCHIMP_KINDS and not (fields.get("data[email]") or fields.get("data[new_email]")):
        return "no_address"
    return None


def split(body: bytes, audience: str | None, _received_at: datetime) -> Sequence[Event | Unfit]:
    """The one event of a delivery; `audience` is the only one we work for."""
    fields = form_fields(body)
    if (fault := fault_of(fields, audience)) is not None:
        return [Unfit(fault, body)]
    kept = canonical(fields)
    # Mailchimp numbers nothing: an event is told from another by all it says (reliability G3).
    return [Event(hashlib.sha256(kept).hexdigest(), kept)]

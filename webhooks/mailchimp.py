"""Mailchimp's door: one form-encoded event per request, a secret in the path, signed where the account offers it.

Source: vendors/mailchimp.md section 11.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from urllib.parse import parse_qsl

from connectors.events import MAILCHIMP_KINDS
from leadbridge import clock
from leadbridge.errors import WebhookRefused
from webhooks.base import Delivery, Receiver
from webhooks.reading import MAX_FIELDS, Unfit, canonical
from webhooks.signatures import same_secret, verify_mailchimp
from webhooks.writer import Event, Writer

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


def fault_of(fields: Mapping[str, str | list[str]], audience: str) -> str | None:
    """Why this event cannot be handled, as a stable code; None when it can."""
    for name, longest in _READ.items():
        value = fields.get(name, "")
        if isinstance(value, list):
            return "repeated_name"
        if len(value) > longest or "\0" in value:
            return f"bad_{name.removeprefix('data[').rstrip(']')}"
    if fields.get("data[list_id]", audience) != audience:
        return "foreign_audience"
    if fields["type"] in MAILCHIMP_KINDS and not (fields.get("data[email]") or fields.get("data[new_email]")):
        return "no_address"
    return None


class MailchimpReceiver(Receiver):
    """`POST /webhooks/mailchimp/<secret>`, and the GET by which Mailchimp tries the address."""

    vendor = "mailchimp"

    def __init__(
        self,
        writer: Writer,
        *,
        path_secrets: Sequence[str],
        audience: str,
        signing_secrets: Sequence[str] = (),
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        """With `signing_secrets` every delivery must be signed by one of them; hooks made before 2026 have none."""
        super().__init__(writer)
        self._path_secrets = tuple(path_secrets)
        self._audience = audience
        self._signing_secrets = tuple(signing_secrets)
        self._now = now

    def knows(self, path_secret: str) -> bool:
        """Is this the secret part of our own path?"""
        return same_secret(path_secret, self._path_secrets)

    def verify(self, delivery: Delivery) -> None:
        if not self.knows(delivery.path_secret):
            raise WebhookRefused("not_found", 404)  # like any address that does not exist
        if self._signing_secrets:
            header = delivery.headers.get("X-Mailchimp-Signature")
            verify_mailchimp(self._signing_secrets, header, delivery.body, self._now())

    def split(self, delivery: Delivery) -> Sequence[Event | Unfit]:
        fields = form_fields(delivery.body)
        if not fields.get("type"):
            raise WebhookRefused("no_type", 400)
        body = canonical(fields)
        if (fault := fault_of(fields, self._audience)) is not None:
            return [Unfit(fault, body)]
        # Mailchimp numbers nothing: an event is told from another by all it says (reliability G3).
        return [Event(hashlib.sha256(body).hexdigest(), body)]

"""The intake's door: the Segment HTTP tracking API (docs/intake.md). Source: that API's public description."""

import base64
import binascii
import json
import zlib
from collections.abc import Sequence
from dataclasses import replace

from connectors.deliveries.intake import BATCH, MAX_BATCH, TYPES, calls
from leadbridge.errors import WebhookRefused
from webhooks.base import Answer, Delivery, Receiver
from webhooks.signatures import Headers, same_secret
from webhooks.writer import Raw, Writer

KINDS = (*TYPES, BATCH)


class IntakeReceiver(Receiver):
    """`POST /v1/<kind>`: one event or a batch, with the write key as user name of HTTP basic authentication."""

    vendor = "intake"
    packed = ("gzip",)

    def __init__(self, writer: Writer, *, write_keys: Sequence[str]) -> None:
        """`write_keys`: the present one first, then the one being rotated out."""
        super().__init__(writer)
        self._write_keys = tuple(write_keys)

    def verify(self, delivery: Delivery) -> None:
        """Raises WebhookRefused (401): missing_write_key, bad_write_key."""
        if not same_secret(_user(delivery.headers), self._write_keys):
            raise WebhookRefused("bad_write_key")

    def read(self, delivery: Delivery) -> Raw:
        body = _inflated(delivery.body) if _is_packed(delivery.headers) else delivery.body
        return Raw(delivery.kind.encode() + b"\n" + body, calls(delivery.kind, body))

    def accepted(self) -> Answer:
        return Answer(200, body=b'{"success":true}')

    def refuse(self, refused: WebhookRefused) -> Answer:
        return _told(super().refuse(refused))

    def unavailable(self, reason: str) -> Answer:
        return _told(super().unavailable(reason))


def _told(answer: Answer) -> Answer:
    """The words that clients of this API look for in a refusal."""
    told = {"success": False, "code": answer.reason, "message": answer.reason, "error": answer.reason}
    return replace(answer, body=json.dumps(told).encode())


def _user(headers: Headers) -> str:
    scheme, _, given = (headers.get("Authorization") or "").partition(" ")
    if scheme.lower() != "basic":
        raise WebhookRefused("missing_write_key")
    try:
        return base64.b64decode(given.strip()[:1024], validate=True).decode().partition(":")[0]
    except (binascii.Error, ValueError):
        raise WebhookRefused("bad_write_key") from None


def _is_packed(headers: Headers) -> bool:
    return (headers.get("Content-Encoding") or "identity").strip().lower() == "gzip"


def _inflated(body: bytes) -> bytes:
    """The body unpacked, never further than a batch may be long. Raises WebhookRefused (400): bad_gzip, too_large."""
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        found = unpacking.decompress(body, MAX_BATCH + 1)
    except zlib.error:
        raise WebhookRefused("bad_gzip", 400) from None
    if len(found) > MAX_BATCH:
        raise WebhookRefused("too_large", 400)
    if not unpacking.eof or unpacking.unused_data:
        raise WebhookRefused("bad_gzip", 400)
    return found

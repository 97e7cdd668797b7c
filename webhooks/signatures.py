"""Is this delivery from the vendor, unaltered and recent? HMAC and the time window; pure functions.

Only the newest scheme of each vendor is accepted, whatever else a request carries (reliability G4). Every way of being
wrong ends in WebhookRefused with a stable reason; no input raises anything else.

HubSpot: vendors/hubspot.md section 11 (v3). Mailchimp: vendors/mailchimp.md section 11 (`X-Mailchimp-Signature`).
Salesforce: vendors/salesforce.md section 6.3 (`X-Leadbridge-Signature`).
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from urllib.parse import urlsplit

from leadbridge.errors import WebhookRefused

WINDOW_MS = 300_000
"""How far a signed time may lie in the past or in the future (G4: both sides); exactly this far still passes."""

_NUMBER = re.compile(r"[0-9]{1,15}")  # str.isdigit would take other scripts' digits too
_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")
_LONGEST_HEADER = 1024
_MOST_DIGESTS = 8

# HubSpot undoes exactly these escapes before signing (section 11, rule 3), in either case; all others stay.
_DECODED = re.compile(rb"%(3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)", re.IGNORECASE)


class Headers(Protocol):
    """Headers of a request; `get` has no regard to case."""

    def get(self, name: str, /) -> str | None: ...


def digest(secret: str, *parts: bytes) -> bytes:
    """HMAC-SHA256 of the parts, one after the other."""
    return hmac.digest(secret.encode(), b"".join(parts), "sha256")


def same_secret(given: str, secrets: Sequence[str]) -> bool:
    """Is `given` one of `secrets`? Compares hashes, each of them, in constant time: length and prefix tell nothing."""
    hashed = hashlib.sha256(given.encode(errors="surrogatepass")).digest()
    found = [hmac.compare_digest(hashed, hashlib.sha256(secret.encode()).digest()) for secret in secrets]
    return any(found)


def signed_address(public_url: str, target: str) -> bytes:
    """The address as the vendor called it: configured base plus the request target exactly as received.

    `target` is path and query in WSGI's spelling (one character per byte). The `Host` header and forwarded headers
    have no say. A base with a path of its own works whether or not the proxy in front strips that path.
    """
    base = public_url.rstrip("/")
    prefix = urlsplit(base).path
    if prefix and target.startswith(f"{prefix}/"):
        base = base.removesuffix(prefix)
    return (base + target).encode("latin-1", errors="replace")


def verify_hubspot(
    secrets: Sequence[str], method: str, address: bytes, headers: Headers, body: bytes, now: datetime
) -> None:
    """Return when one of `secrets` signed this request (v3) and its time lies within the window of `now`.

    `address` is `signed_address(...)`, `body` the bytes as they came. Raises WebhookRefused: missing_signature,
    old_scheme, missing_timestamp, bad_timestamp, too_old, from_the_future, bad_signature.
    """
    signature = headers.get("X-HubSpot-Signature-v3")
    if signature is None:
        # v1 and v2 carry no time, so a captured one would be good for ever.
        raise WebhookRefused("old_scheme" if headers.get("X-HubSpot-Signature") is not None else "missing_signature")
    timestamp = headers.get("X-HubSpot-Request-Timestamp")
    if timestamp is None:
        raise WebhookRefused("missing_timestamp")
    _within_window(timestamp, now, unit=1000)
    message = (method.encode("latin-1", errors="replace"), _undone(address), body, timestamp.encode())
    # The text is compared, not the decoded bytes: base64 spells one digest in several ways, the vendor in one.
    given = signature.encode("latin-1", errors="replace")[:_LONGEST_HEADER]
    if not _one_of(given, [base64.b64encode(digest(secret, *message)) for secret in secrets]):
        raise WebhookRefused("bad_signature")


def verify_mailchimp(secrets: Sequence[str], header: str | None, body: bytes, now: datetime) -> None:
    """Return when `header` (`t=<seconds>,v1=<hex>`, several v1 allowed) holds the signature of `body` by a secret.

    Raises WebhookRefused: missing_signature, bad_signature_header, bad_timestamp, too_old, from_the_future,
    bad_signature.
    """
    if header is None:
        raise WebhookRefused("missing_signature")
    fields = [part.strip(" ").partition("=") for part in header.split(",")] if len(header) <= _LONGEST_HEADER else []
    times = [value for name, _, value in fields if name == "t"]
    given = [value for name, _, value in fields if name == "v1"]
    if len(times) != 1 or not 1 <= len(given) <= _MOST_DIGESTS or not all(_HEX_DIGEST.fullmatch(one) for one in given):
        raise WebhookRefused("bad_signature_header")
    _within_window(times[0], now, unit=1)
    wanted = [digest(secret, f"{times[0]}.".encode(), body).hex().encode() for secret in secrets]
    if not any([_one_of(one.encode(), wanted) for one in given]):  # noqa: C419 - all are compared, found or not
        raise WebhookRefused("bad_signature")


def verify_callout(secrets: Sequence[str], headers: Headers, body: bytes, now: datetime) -> None:
    """Return when one of `secrets` signed `{timestamp}.{body}`: `X-Leadbridge-Signature: v1=<hex or base64>`, seconds
    since 1970 in `X-Leadbridge-Timestamp` (vendors/salesforce.md section 6.3).

    Raises WebhookRefused: missing_signature, missing_timestamp, bad_signature_header, bad_timestamp, too_old,
    from_the_future, bad_signature.
    """
    signature, timestamp = headers.get("X-Leadbridge-Signature"), headers.get("X-Leadbridge-Timestamp")
    if signature is None:
        raise WebhookRefused("missing_signature")
    if timestamp is None:
        raise WebhookRefused("missing_timestamp")
    scheme, _, given = signature.strip(" ").partition("=")
    if scheme != "v1" or len(signature) > _LONGEST_HEADER:
        raise WebhookRefused("bad_signature_header")
    _within_window(timestamp, now, unit=1)
    found = [digest(secret, f"{timestamp}.".encode(), body) for secret in secrets]
    # Apex writes a digest either way (`EncodingUtil.convertToHex`, `base64Encode`).
    wanted = [text for one in found for text in (one.hex().encode(), base64.b64encode(one))]
    if not _one_of(given.encode("latin-1", errors="replace"), wanted):
        raise WebhookRefused("bad_signature")


def _undone(address: bytes) -> bytes:
    return _DECODED.sub(lambda escape: bytes.fromhex(escape[1].decode()), address)


def _within_window(text: str, now: datetime, *, unit: int) -> None:
    if not _NUMBER.fullmatch(text):
        raise WebhookRefused("bad_timestamp")
    ahead = int(text) * (1000 // unit) - round(now.timestamp() * 1000)
    if ahead < -WINDOW_MS:
        raise WebhookRefused("too_old")
    if ahead > WINDOW_MS:
        raise WebhookRefused("from_the_future")


def _one_of(given: bytes, wanted: Sequence[bytes]) -> bool:
    return any([hmac.compare_digest(given, one) for one in wanted])  # noqa: C419 - all are compared, found or not

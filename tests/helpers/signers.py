"""The vendors' side of a signature, for tests: written from the vendors' pages, sharing no code with the verifier.

HubSpot: vendors/hubspot.md section 11. Mailchimp: vendors/mailchimp.md section 11.
"""

import json
from base64 import b64encode
from hashlib import sha256
from typing import Any

_UNDONE = {"%3A": ":", "%2F": "/", "%3F": "?", "%40": "@", "%21": "!", "%24": "$", "%27": "'", "%28": "(",
           "%29": ")", "%2A": "*", "%2C": ",", "%3B": ";"}  # fmt: skip


def _hmac_sha256(key: bytes, message: bytes) -> bytes:
    """HMAC by its definition (RFC 2104), so that the tests lean on no library the verifier uses."""
    block = (sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    inner = sha256(bytes(byte ^ 0x36 for byte in block) + message).digest()
    return sha256(bytes(byte ^ 0x5C for byte in block) + inner).digest()


def hubspot_v3(secret: str, method: str, address: str, body: bytes, timestamp: int | str) -> str:
    for escape, letter in _UNDONE.items():
        address = address.replace(escape, letter).replace(escape.lower(), letter)
    return b64encode(
        _hmac_sha256(secret.encode(), f"{method}{address}".encode() + body + str(timestamp).encode())
    ).decode()


def hubspot_v1(secret: str, body: bytes) -> str:
    return sha256(secret.encode() + body).hexdigest()


def hubspot_v2(secret: str, method: str, address: str, body: bytes) -> str:
    return sha256(f"{secret}{method}{address}".encode() + body).hexdigest()


def hubspot_headers(secret: str, address: str, body: bytes, timestamp: int, method: str = "POST") -> dict[str, str]:
    """What HubSpot sends with a delivery: the old signature and the new one."""
    return {
        "Content-Type": "application/json",
        "X-HubSpot-Signature": hubspot_v1(secret, body),
        "X-HubSpot-Signature-Version": "v1",
        "X-HubSpot-Signature-v3": hubspot_v3(secret, method, address, body, timestamp),
        "X-HubSpot-Request-Timestamp": str(timestamp),
    }


def mailchimp_v1(secret: str, body: bytes, at: int) -> str:
    return _hmac_sha256(secret.encode(), f"{at}.".encode() + body).hex()


def mailchimp_header(secret: str, body: bytes, at: int) -> str:
    return f"t={at},v1={mailchimp_v1(secret, body, at)}"


def hubspot_body(*events: Any) -> bytes:
    """The events as HubSpot writes them: compact, not escaped."""
    return json.dumps(list(events), separators=(",", ":"), ensure_ascii=False).encode()


def hubspot_change(number: int = 1, **fields: Any) -> dict[str, Any]:
    """One `contact.propertyChange`, told apart by its number."""
    return {
        "eventId": number, "subscriptionId": 2740113, "portalId": 62515, "appId": 54321,
        "occurredAt": 1795312799000 + number, "subscriptionType": "contact.propertyChange", "attemptNumber": 0,
        "objectId": 512 + number, "propertyName": "jobtitle", "propertyValue": "CTO", "changeSource": "CRM_UI",
        "sourceId": "userId:9586504", **fields,
    }  # fmt: skip

"""Answers as HubSpot words them: results, refusals and their bodies (vendor page, sections 3.3, 13 and 14)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

VALIDATION = "VALIDATION_ERROR"
NOT_FOUND = "OBJECT_NOT_FOUND"
CONFLICT = "CONFLICT"
SCOPES_PAGE = "https://developers.hubspot.com/scopes"


@dataclass(slots=True)
class Reply:
    """What one call answers; ``body`` is None for an empty answer."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class Refused(Exception):
    """A call or one input of it is refused; ``body`` lacks only the correlation id."""

    def __init__(self, status: int, message: str, *, category: str | None = VALIDATION, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.headers: dict[str, str] = {}
        self.body: dict[str, Any] = {"status": "error", "message": message}
        if category is not None:
            self.body["category"] = category
        self.body.update(more)

    def as_item(self, **context: Sequence[str]) -> dict[str, Any]:
        """This refusal as one entry of ``errors`` in a 207 (section 14.4)."""
        merged = {**self.body.get("context", {}), **{name: list(values) for name, values in context.items()}}
        return {**self.body, "context": merged}


@dataclass(frozen=True, slots=True)
class BadValue:
    """One property value HubSpot does not take."""

    name: str
    code: str
    message: str


def invalid_values(bad: Sequence[BadValue]) -> Refused:
    """The 400 of section 14.3: the list appears as JSON text inside the message, and again in ``errors``."""
    listed = json.dumps(
        [{"isValid": False, "message": b.message, "error": b.code, "name": b.name} for b in bad], separators=(",", ":")
    )
    return Refused(400, f"Property values were not valid: {listed}", errors=_errors(bad))


def broken_rules(bad: Sequence[BadValue]) -> Refused:
    """The 400 with which 2026-09 enforces an admin's rules on writes (section 14.3)."""
    return Refused(400, "The property values provided are invalid", errors=_errors(bad))


def _errors(bad: Sequence[BadValue]) -> list[dict[str, Any]]:
    return [{"message": b.message, "code": b.code, "context": {"propertyName": [b.name]}} for b in bad]


def not_found() -> Refused:
    """The 404 of a single record, which carries no category."""
    return Refused(404, "resource not found", category=None)


def missing_scopes(scopes: Sequence[str]) -> Refused:
    return Refused(
        403,
        "This app hasn't been granted all required scopes to make this call. Read more about required scopes here: "
        f"{SCOPES_PAGE}.",
        category="MISSING_SCOPES",
        errors=[
            {
                "message": "One or more of the following scopes are required.",
                "context": {"requiredGranularScopes": list(scopes)},
            }
        ],
        links={"scopes": SCOPES_PAGE},
    )


def no_credentials() -> Refused:
    return Refused(
        401,
        "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more "
        "details at https://developers.hubspot.com/docs/methods/auth/oauth-overview",
        category="INVALID_AUTHENTICATION",
    )


def expired(at: datetime, now: datetime) -> Refused:
    """An expired token; a token HubSpot never issued looks as if it had expired in 1970."""
    seconds = max(0, int((now - at).total_seconds()))
    span = f"{seconds // 86400} day(s)" if seconds >= 86400 else f"{seconds} second(s)"
    return Refused(
        401,
        f"The OAuth token used to make this call expired {span} ago.",
        category="EXPIRED_AUTHENTICATION",
        context={"expire time": [iso(at)]},
    )


_FAULT_MESSAGES = {
    423: "The resource is locked because of a bulk change. Please try again later.",
    429: "You have reached your ten_secondly_rolling limit.",
    477: "Migration in progress.",
    500: "internal error",
    502: "Bad gateway",
    503: "Service unavailable",
    504: "Gateway timeout",
}


def fault_body(status: int) -> dict[str, Any]:
    """HubSpot's own body for a scripted failure."""
    body: dict[str, Any] = {
        "status": "error",
        "message": _FAULT_MESSAGES.get(status, f"Error {status}"),
        "correlationId": str(uuid4()),
    }
    if status == 429:
        body |= {
            "errorType": "RATE_LIMIT",
            "policyName": "TEN_SECONDLY_ROLLING",
            "groupName": "publicapi:private-apps-api-calls-ten-secondly",
        }
    elif status == 401:
        body |= {"category": "EXPIRED_AUTHENTICATION"}
    elif status == 403:
        body |= {"category": "MISSING_SCOPES"}
    return body


def batch(
    results: Sequence[Mapping[str, Any]],
    errors: Sequence[Mapping[str, Any]],
    now: datetime,
    *,
    status: int = 200,
    partial: int = 207,
) -> Reply:
    """A batch answer; with errors in it the status becomes ``partial`` (section 14.4)."""
    stamp = iso(now)
    body: dict[str, Any] = {"status": "COMPLETE", "results": results, "startedAt": stamp, "completedAt": stamp}
    if errors:
        body |= {"numErrors": len(errors), "errors": errors}
    return Reply(partial if errors else status, body)


def iso(at: datetime) -> str:
    """As HubSpot writes instants: UTC, milliseconds, Z."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def iso_ms(ms: int) -> str:
    return iso(datetime.fromtimestamp(ms / 1000, UTC))


def to_ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def paging(after: object | None) -> dict[str, Any]:
    """The ``paging`` part of an answer; nothing on the last page."""
    if after is None:
        return {}
    return {"paging": {"next": {"after": str(after), "link": f"https://api.hubspot.com/?after={after}"}}}

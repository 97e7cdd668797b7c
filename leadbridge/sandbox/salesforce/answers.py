"""How Salesforce words its answers: error lists, row errors, instants (vendor page, sections 1.2, 4.4 and 7)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

JSON = "application/json;charset=UTF-8"
_FAULTS = {
    400: ("JSON_PARSER_ERROR", "The HTTP entity body is required, but this request has no entity body."),
    401: ("INVALID_SESSION_ID", "Session expired or invalid"),
    403: ("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
    404: ("NOT_FOUND", "The requested resource does not exist"),
    503: ("SERVER_UNAVAILABLE", "Server too busy"),
}


@dataclass(slots=True)
class Reply:
    """An answer: ``body`` is JSON data, text as it is, or nothing."""

    status: int = 200
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = JSON


class Refused(ValueError):
    """The whole call is answered with an error."""

    def __init__(
        self, status: int, code: str, message: str, *, fields: Sequence[str] = (), body: object = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.content_type = JSON
        self.body = body if body is not None else error_list(code, message, fields)


class RowError(ValueError):
    """One record is refused: by itself a 400, in a collection or a bulk job an entry beside others."""

    def __init__(self, code: str, message: str, fields: Sequence[str] = (), *, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.fields, self.status = code, message, list(fields), status

    def as_row(self) -> dict[str, Any]:
        """As collections write it: the key is ``statusCode`` here, not ``errorCode`` (section 4.1)."""
        error = {"statusCode": self.code, "message": self.message, "fields": self.fields}
        return {"success": False, "errors": [error]}

    def as_cell(self) -> str:
        """As bulk results write it."""
        return f"{self.code}:{self.message}:{','.join(self.fields)}--"

    def as_refusal(self) -> Refused:
        return Refused(self.status, self.code, self.message, fields=self.fields)


def error_list(code: str, message: str, fields: Sequence[str] = ()) -> list[dict[str, Any]]:
    return [{"message": message, "errorCode": code, **({"fields": list(fields)} if fields else {})}]


def fault_body(status: int) -> list[dict[str, Any]]:
    code, message = _FAULTS.get(
        status,
        (
            "UNKNOWN_EXCEPTION",
            "An unexpected error occurred. Please include this ErrorId if you contact support: 1186-1 (12)",
        ),
    )
    return error_list(code, message)


def not_found() -> Refused:
    return Refused(404, *_FAULTS[404])


def oauth_error(error: str, description: str) -> Refused:
    return Refused(400, error, description, body={"error": error, "error_description": description})


def stamp(at: datetime) -> str:
    """An instant as fields hold it: whole seconds of UTC, no colon in the offset. Text order is time order."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def read_instant(text: str) -> datetime:
    """An instant with a zone; ValueError otherwise."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None or "T" not in text.upper():
        raise ValueError(f"{text} lacks a time or a zone")
    return at.astimezone(UTC)


def saved(record_id: str, **more: Any) -> Mapping[str, Any]:
    return {"id": record_id, "success": True, "errors": [], **more}

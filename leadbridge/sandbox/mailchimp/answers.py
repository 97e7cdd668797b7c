"""The form of what Mailchimp says: problem documents, pages, partial answers, instants (vendor page, 2 and 12)."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

JSON = "application/json; charset=utf-8"
PROBLEM_JSON = "application/problem+json; charset=utf-8"
ERRORS_PAGE = "https://mailchimp.com/developer/marketing/docs/errors/"
MAX_COUNT = 1000

Body = dict[str, Any]

# Name that `X-Trigger-Error` takes: status, title, detail. Also what a scripted fault of that status answers.
PROBLEMS: dict[str, tuple[int, str, str]] = {
    "BadRequest": (400, "Bad Request", "Your request did not include a valid body or parameters."),
    "InvalidAction": (400, "Invalid Action", "The action requested was not valid for this resource."),
    "InvalidResource": (400, "Invalid Resource", "The resource submitted could not be validated."),
    "JSONParseError": (400, "JSON Parse Exception", "We encountered an unspecified JSON parsing error."),
    "APIKeyMissing": (401, "API Key Invalid", "Your request did not include an API key."),
    "APIKeyInvalid": (
        401,
        "API Key Invalid",
        "Your API key may be invalid, or you've attempted to access the wrong datacenter.",
    ),
    "Forbidden": (403, "Forbidden", "You are not permitted to access this resource."),
    "UserDisabled": (403, "User Disabled", "This account has been disabled."),
    "ResourceNotFound": (404, "Resource Not Found", "The requested resource could not be found."),
    "MethodNotAllowed": (405, "Method Not Allowed", "The requested method and resource are not compatible."),
    "ResourceNestingTooDeep": (414, "Resource Nesting Too Deep", "The sub-resource requested is nested too deeply."),
    "InvalidMethodOverride": (422, "Invalid Method Override", "X-HTTP-Method-Override is for POST requests only."),
    "TooManyRequests": (429, "Too Many Requests", "You have exceeded the limit of 10 simultaneous connections."),
    "InternalServerError": (
        500,
        "Internal Server Error",
        "A deep, internal error has occurred during the processing of your request. Please contact support.",
    ),
}
_NAME_OF_STATUS = {
    400: "BadRequest",
    401: "APIKeyInvalid",
    403: "Forbidden",
    404: "ResourceNotFound",
    405: "MethodNotAllowed",
    414: "ResourceNestingTooDeep",
    422: "InvalidMethodOverride",
    429: "TooManyRequests",
    500: "InternalServerError",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: a JSON body, or nothing at all (204)."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None  # sent as it is, instead of ``body``
    content_type: str = JSON


class Problem(Exception):
    """The call is refused. Raised before anything was changed."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        errors: Sequence[Mapping[str, str]] = (),
        *,
        typed: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.status, self.title, self.detail = status, title, detail
        self.errors, self.typed, self.headers = tuple(errors), typed, dict(headers or {})

    @classmethod
    def named(cls, name: str, *, headers: Mapping[str, str] | None = None) -> "Problem":
        return cls(*PROBLEMS.get(name, PROBLEMS["BadRequest"]), headers=headers)

    @classmethod
    def of_status(cls, status: int) -> "Problem":
        """The body Mailchimp would give with this status."""
        if status in _NAME_OF_STATUS:
            return cls.named(_NAME_OF_STATUS[status])
        return cls(status, "Service Unavailable" if status >= 500 else "Bad Request", "Please try again later.")

    def answer(self, request_id: str) -> Answer:
        body: Body = {"title": self.title, "status": self.status, "detail": self.detail, "instance": request_id}
        if self.typed:  # Member Exists and its kin come without `type` (vendor page, 3)
            body = {"type": ERRORS_PAGE, **body}
        if self.errors:
            body["errors"] = [dict(error) for error in self.errors]
        described_by = (
            '<https://api.mailchimp.com/schema/3.0/Definitions/ProblemDetailDocument.json>; rel="describedBy"'
        )
        return Answer(self.status, body, {"Link": described_by, **self.headers}, content_type=PROBLEM_JSON)


def not_found() -> Problem:
    return Problem.named("ResourceNotFound")


def invalid(detail: str, errors: Iterable[tuple[str, str]] = (), *, typed: bool = True) -> Problem:
    """400 Invalid Resource, with the fields at fault."""
    return Problem(400, "Invalid Resource", detail, [{"field": f, "message": m} for f, m in errors], typed=typed)


def misshapen(*errors: tuple[str, str]) -> Problem:
    """400 Invalid Resource as the schema check of the service words it."""
    return invalid(
        "The resource submitted could not be validated. For field-specific details, see the 'errors' array.", errors
    )


def new_request_id() -> str:
    return str(uuid4())


# --- reading queries ---------------------------------------------------------------------------------------------


def truth(text: object) -> bool:
    """Booleans of a query: ``true``/``1`` in any case; anything else is false (vendor page, 2)."""
    return str(text).strip().lower() in ("true", "1")


def _whole(query: Mapping[str, str], name: str, default: int) -> int:
    try:
        number = int(query.get(name, default))
    except ValueError:
        number = -1
    if number < 0:
        raise misshapen((name, "This value should be of type integer and not negative."))
    return number


def cut(rows: Sequence[Any], query: Mapping[str, str]) -> Sequence[Any]:
    """The page asked for: ten rows unless ``count`` says otherwise, never more than a thousand."""
    offset = _whole(query, "offset", 0)
    return rows[offset : offset + min(_whole(query, "count", 10), MAX_COUNT)]


def listing(
    name: str, rows: Sequence[Any], query: Mapping[str, str], show: Callable[[Any], Any] = lambda row: row, **more: Any
) -> Body:
    """A collection: the page under ``name``, the size of the whole beside it."""
    return {name: [show(row) for row in cut(rows, query)], **more, "total_items": len(rows), "_links": []}


def partial(body: Any, query: Mapping[str, str]) -> Any:
    """Apply ``fields`` or ``exclude_fields``: dotted paths from the root of the answer."""
    wanted, unwanted = query.get("fields"), query.get("exclude_fields")
    if wanted and unwanted:
        raise Problem(400, "Bad Request", "Use either fields or exclude_fields, not both.")  # wording not confirmed
    if wanted:
        return _kept(body, _tree(wanted))
    return _without(body, _tree(unwanted)) if unwanted else body


def _tree(paths: str) -> Body:
    tree: Body = {}
    for path in paths.split(","):
        branch = tree
        for piece in path.strip().split("."):
            branch = branch.setdefault(piece, {})
    return tree


def _kept(value: Any, tree: Body) -> Any:
    if not tree:
        return value
    if isinstance(value, list):
        return [_kept(one, tree) for one in value]
    if isinstance(value, dict):
        return {key: _kept(one, tree[key]) for key, one in value.items() if key in tree}
    return value


def _without(value: Any, tree: Body) -> Any:
    if isinstance(value, list):
        return [_without(one, tree) for one in value]
    if isinstance(value, dict):
        return {
            key: _without(one, tree[key]) if tree.get(key) else one
            for key, one in value.items()
            if key not in tree or tree[key]
        }
    return value


# --- instants and numbers ----------------------------------------------------------------------------------------


def stamp(at: datetime | None) -> str:
    """ISO 8601 with offset, whole seconds; no time is the empty string, not null (vendor page, 2)."""
    return at.astimezone(UTC).replace(microsecond=0).isoformat() if at else ""


def instant(text: str, name: str = "since") -> datetime:
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise misshapen((name, "Please enter a date and time in ISO 8601 format.")) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def instant_in(query: Mapping[str, str], name: str) -> datetime | None:
    return instant(query[name], name) if query.get(name) else None


def tidy(number: float) -> int | float:
    """A number as JSON shows it: 82 rather than 82.0."""
    return int(number) if math.isfinite(number) and number == int(number) else number

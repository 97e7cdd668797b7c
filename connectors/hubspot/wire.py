"""Shapes of what HubSpot answers, as far as we look at them, and the naming of its errors.

Every part of an error body is optional (vendors/hubspot.md section 14.1); unknown parts are left alone.
"""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from hubspot.crm.contacts.exceptions import ApiException
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from connectors.hubspot.paths import ROUTES
from connectors.values import clean
from leadbridge.call import Garbled, retry_after, transport_error
from leadbridge.errors import FeatureMissing, NeedsOperator, RecordRefused, RetryLater, Unknown, VendorError

VENDOR = "hubspot"

S = TypeVar("S", bound="Shape")

DAILY_QUOTA_REST = 3600.0
"""Seconds to leave an account alone whose daily quota is used up; it comes anew at midnight of the account's zone."""

MOVING_REST = 3600.0
"""Seconds to leave an account alone that moves to another data centre, when HubSpot does not say how long."""


def _as_text(raw: Any) -> Any:
    return str(raw) if isinstance(raw, int | float) and not isinstance(raw, bool) else raw


def _as_texts(raw: Any) -> Any:
    """Values as HubSpot documents them: text or null. Anything else becomes its text."""
    if not isinstance(raw, dict):
        return raw
    return {
        str(name): None if value is None else clean(str(value).lower() if isinstance(value, bool) else str(value))
        for name, value in raw.items()
    }


def _as_lists(raw: Any) -> Any:
    if not isinstance(raw, dict):
        return {}
    return {
        str(name): [str(one) for one in (value if isinstance(value, list) else [value])] for name, value in raw.items()
    }


Id = Annotated[str, BeforeValidator(_as_text), AfterValidator(clean)]
"""Ids are text in most answers and numbers in some (section 7)."""

Texts = Annotated[dict[str, str | None], BeforeValidator(_as_texts)]
Context = Annotated[dict[str, list[str]], BeforeValidator(_as_lists)]


class Shape(BaseModel):
    """A part of an answer; what we do not look at is ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Next(Shape):
    after: Id


class Paging(Shape):
    next: Next | None = None


class Listing(Shape):
    """A page of something. Rows stay wild until each is read by itself: one bad row does not spoil the page."""

    results: list[dict[str, Any]]
    paging: Paging | None = None

    @property
    def after(self) -> str | None:
        """Where the next page begins. `link` is never followed: it may name another host (section 2)."""
        return self.paging.next.after if self.paging and self.paging.next else None


class ErrorItem(Shape):
    """One refusal inside an answer or inside an error body."""

    category: str = ""
    code: str = ""
    message: str = ""
    context: Context = {}
    errors: list["ErrorItem"] = []

    def codes(self) -> set[str]:
        return {self.code, *(code for one in self.errors for code in one.codes())} - {""}

    def properties(self) -> list[str]:
        """Properties this refusal is about."""
        names = [*self.context.get("propertyName", ()), *(name for one in self.errors for name in one.properties())]
        return list(dict.fromkeys(names))

    def words(self) -> str:
        """What to show a person: the property named and HubSpot's own words, the inner ones where there are any."""
        told = "; ".join(dict.fromkeys(one.message for one in self.errors if one.message)) or self.message
        named = ", ".join(self.properties())
        return f"{named}: {told}" if named else told or self.category or "refused without a word"


class BatchAnswer(Shape):
    """A batch. Decide on the body, not on the status: 2026-09 may answer 200 with errors inside (section 2)."""

    results: list[dict[str, Any]]
    errors: list[ErrorItem] = []


class HistoryEntry(Shape):
    """One value a property had, and since when."""

    value: Annotated[str, BeforeValidator(lambda raw: "" if raw is None else str(raw)), AfterValidator(clean)] = ""
    timestamp: str = ""


class Record(Shape):
    """One CRM record."""

    id: Id
    properties: Texts = {}
    updated_at: str = Field("", alias="updatedAt")
    created_at: str = Field("", alias="createdAt")
    history: dict[str, list[HistoryEntry]] = Field({}, alias="propertiesWithHistory")

    def get(self, name: str) -> str:
        """A property as text, "" when it has no value."""
        return self.properties.get(name) or ""


class ErrorBody(ErrorItem):
    """The body of a refused call."""

    policy: str = Field("", alias="policyName")


class Refused(RecordRefused):
    """A call HubSpot refuses as it stands, with its reasons."""

    def __init__(self, operation: str, body: ErrorBody, status: int) -> None:
        super().__init__(VENDOR, operation, body.words(), status=status)
        self.body = body


def parsed(shape: type[S], body: bytes) -> S:
    """An answer in its shape. Raises Garbled."""
    try:
        return shape.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Garbled(f"the answer is not what it should be ({first['type']} at {where or 'its start'})") from None


def row(shape: type[S], raw: Mapping[str, Any]) -> S | None:
    """One row of a listing in its shape, or None when it cannot be read."""
    try:
        return shape.model_validate(raw)
    except ValidationError:
        return None


def name_error(operation: str, error: Exception) -> VendorError | None:
    """What an exception of the SDK means to the caller (section 14.1)."""
    if isinstance(error, UnicodeDecodeError) and isinstance(error.__context__, ApiException):
        error = error.__context__  # the SDK stumbles over an error body that is not UTF-8 (section 4)
    if not isinstance(error, ApiException):
        return transport_error(VENDOR, operation, error)
    if not error.status:  # the SDK hides TLS errors in an exception of status 0
        if "CERTIFICATE_VERIFY_FAILED" in str(error.reason):
            return NeedsOperator(VENDOR, operation, "the server's certificate is not trusted; check base_url")
        return Unknown(VENDOR, operation, "no answer (TLS)")
    return _by_status(operation, int(error.status), _body_of(error), retry_after(error.headers))


def _body_of(error: ApiException) -> ErrorBody:
    """The error body; empty when it is none of HubSpot's (HTML from the edge)."""
    try:
        return ErrorBody.model_validate_json(error.body or b"")
    except ValidationError:
        return ErrorBody()


def _by_status(operation: str, status: int, body: ErrorBody, after: float | None) -> VendorError:
    match status:
        case 400 | 401 | 403 if operation == "oauth.token":
            cure = (
                "run `leadbridge connect hubspot`, or grant the app access anew and put its refresh token into "
                "connections.hubspot.refresh_token"
            )
            return NeedsOperator(VENDOR, operation, f"{body.message or 'no access'}; {cure}", status=status)
        case 401 | 403 if ROUTES[operation].developer:
            cure = "check connections.hubspot.developer_key and app_id"
            return NeedsOperator(VENDOR, operation, f"the developer key is not accepted; {cure}", status=status)
        case 401:
            cure = "renew connections.hubspot.token, or grant the app access anew"
            return NeedsOperator(VENDOR, operation, f"the token is not accepted; {cure}", status=status)
        case 403 if ROUTES[operation].optional:
            return FeatureMissing(VENDOR, operation, _why_forbidden(body), status=status)
        case 403:
            return NeedsOperator(VENDOR, operation, _why_forbidden(body), status=status)
        case 423:
            # Locked by a bulk change; turned away, nothing done. Wait two seconds or more (section 14.1).
            return RetryLater(VENDOR, operation, "locked by a bulk change", status=status, after=max(after or 0, 2.0))
        case 429:
            return RetryLater(
                VENDOR, operation, f"rate limit {body.policy or 'reached'}", status=status, after=_rest(body, after)
            )
        case 477:
            return RetryLater(
                VENDOR, operation, "the account moves to another data centre", status=status, after=after or MOVING_REST
            )
        case _ if status >= 500:
            return Unknown(VENDOR, operation, body.message or "the server failed", status=status, after=after)
        case _ if status >= 400:
            return Refused(operation, body, status)
    return Unknown(VENDOR, operation, "answered with a redirect, which is not followed; check base_url", status=status)


def _rest(body: ErrorBody, after: float | None) -> float:
    """How long to wait after a 429; HubSpot documents no Retry-After, so the policy decides (section 13)."""
    if after is not None:
        return after
    policy = body.policy.upper()
    if policy == "DAILY" or "daily limit" in body.message:
        return DAILY_QUOTA_REST
    # Searches name no policy, and "SECONDLY" passes within the second.
    return 10.0 if policy.startswith("TEN_SECONDLY") or "ten_secondly" in body.message else 1.0


def _why_forbidden(body: ErrorBody) -> str:
    items = (body, *body.errors)
    scopes = list(dict.fromkeys(scope for item in items for scope in item.context.get("requiredGranularScopes", ())))
    if scopes:
        return f"the token lacks a scope; grant one of: {', '.join(scopes)}"
    return body.message or "not allowed for this token or this account's tier"

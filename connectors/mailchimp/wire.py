"""Shapes of what Mailchimp answers, as far as we look at them, and the naming of its errors.

Error bodies are problem documents (vendors/mailchimp.md section 12). The client hands them over as text, network
failures as an exception inside the exception, and empty answers as success whatever their status (section 13).
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import requests
from mailchimp_marketing.api_client import ApiClientError
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from connectors.values import clean
from leadbridge.call import Garbled, retry_after, transport_error
from leadbridge.errors import FeatureMissing, NeedsOperator, RecordRefused, RetryLater, Unknown, VendorError

VENDOR = "mailchimp"

OPTIONAL = {
    "campaigns.list",
    "reports.email_activity",
    "batches.create",
    "journeys.list",
    "journeys.steps",
    "journeys.step",
    "members.activity_feed",
}
"""Operations an account may lack: a 403 switches the source off instead of pausing the connection."""

CROWDED_REST = 6 * 3600.0
"""Seconds to leave an address alone that joined too many audiences lately; "hours or days" (section 3)."""

S = TypeVar("S", bound="Shape")


class Empty(Exception):
    """An answer without a body, and with a status that is no success (section 13)."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers


def _or_empty(raw: Any) -> Any:
    return {} if raw is None or raw == [] else raw  # null in some answers (section 15)


def _as_texts(raw: Any) -> Any:
    if not isinstance(_or_empty(raw), dict):
        return raw
    return {str(tag): clean(_plain(value)) for tag, value in _or_empty(raw).items()}


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else str(value)


Texts = Annotated[dict[str, str], BeforeValidator(_as_texts)]
Text = Annotated[str, BeforeValidator(lambda raw: "" if raw is None else raw), AfterValidator(clean)]


Id = Annotated[str, BeforeValidator(lambda raw: str(raw) if isinstance(raw, int) else raw)]


class Shape(BaseModel):
    """A part of an answer; what we do not look at is ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class MemberRow(Shape):
    """One contact of the audience."""

    email: Text = Field(alias="email_address")
    status: Text = ""
    merge_fields: Texts = Field(default_factory=dict)
    last_changed: Text = ""
    unsubscribe_reason: Text = ""


class MembersPage(Shape):
    members: list[dict[str, Any]]
    total: int = Field(alias="total_items")


class AudienceRow(Shape):
    """The audience itself."""

    double_optin: bool


class TagRow(Shape):
    name: Text


class Tags(Shape):
    tags: list[TagRow]


class MergeFieldRow(Shape):
    tag: str
    type: str


class MergeFields(Shape):
    merge_fields: list[MergeFieldRow]


class Titles(Shape):
    title: Text = ""
    subject: Text = Field("", alias="subject_line")


class CampaignRow(Shape):
    id: str
    titles: Titles = Field(Titles(), alias="settings")
    journey: Text = ""  # name of the journey whose mail it is


class Campaigns(Shape):
    campaigns: list[CampaignRow]
    total: int = Field(alias="total_items")


class ActivityRow(Shape):
    """One open, click or bounce."""

    action: str
    timestamp: str
    url: Text = ""
    type: Text = ""
    ip: Text = ""


class FeedRow(Shape):
    """One thing in a contact's feed; `activity_type` selects what else is there (section 10)."""

    action: Text = Field(alias="activity_type")
    timestamp: Text = Field(alias="created_at_timestamp")
    campaign: Text = Field("", alias="campaign_id")
    title: Text = Field("", alias="campaign_title")
    url: Text = Field("", alias="link_clicked")
    bounce: Text = Field("", alias="bounce_type")
    by_admin: bool = Field(False, alias="is_admin_unsubscribed")


class EmailRow(Shape):
    """What one contact did with one campaign."""

    email_id: str
    email: Text = Field(alias="email_address")
    activity: Annotated[list[dict[str, Any]], BeforeValidator(lambda raw: raw or [])] = Field(default_factory=list)


class EmailActivity(Shape):
    emails: list[dict[str, Any]]
    total: int = Field(alias="total_items")


class Root(Shape):
    account_id: str


class FieldError(Shape):
    field: Text = ""
    message: Text = ""


class Problem(Shape):
    """A problem document. Titles are its stable part."""

    title: Text = ""
    detail: Text = ""
    errors: list[FieldError] = Field(default_factory=list)

    def words(self) -> str:
        fields = "; ".join(f"{one.field}: {one.message}" if one.field else one.message for one in self.errors)
        return ": ".join(part for part in (self.title, self.detail, fields) if part)


class Refused(RecordRefused):
    """A call Mailchimp refuses as it stands."""

    def __init__(self, operation: str, problem: Problem, status: int) -> None:
        super().__init__(VENDOR, operation, problem.words(), status=status)
        self.title = problem.title


def shaped(shape: type[S], answer: Any) -> S:
    """The client's answer in its shape. Raises Garbled, or Empty for an answer without a body."""
    if isinstance(answer, requests.Response):
        raise Empty(answer.status_code, answer.headers)
    try:
        return shape.model_validate(answer)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Garbled(f"the answer is not what it should be ({first['type']} at {where or 'its start'})") from None


def accepted(answer: Any) -> None:
    """For calls that answer 204: that is what came. Raises Garbled or Empty otherwise."""
    if not isinstance(answer, requests.Response):
        raise Garbled("an answer with a body where there should be none")
    if answer.status_code != 204:
        raise Empty(answer.status_code, answer.headers)


def row(shape: type[S], raw: Mapping[str, Any]) -> S | None:
    """One row of a listing in its shape, or None when it cannot be read."""
    try:
        return shape.model_validate(raw)
    except ValidationError:
        return None


def name_error(operation: str, error: Exception) -> VendorError | None:
    """What an exception of the client means to the caller."""
    if isinstance(error, Empty):
        return _by_status(operation, error.status, None, retry_after(error.headers))
    if not isinstance(error, ApiClientError):
        return transport_error(VENDOR, operation, error)
    if isinstance(error.text, Exception):
        return transport_error(VENDOR, operation, error.text) or Unknown(VENDOR, operation, "the call failed")
    return _by_status(operation, int(error.status_code or 0), _problem(error.text), None)


def _problem(body: Any) -> Problem | None:
    """The problem document; None for HTML of the edge and anything else."""
    try:
        return Problem.model_validate(json.loads(body) if isinstance(body, str) else body)
    except (ValueError, ValidationError):
        return None


def _by_status(operation: str, status: int, problem: Problem | None, after: float | None) -> VendorError:
    told = problem.words() if problem else ""
    match status:
        case 401:
            cure = "the key or token is not accepted; renew it under connections.mailchimp"
            return NeedsOperator(VENDOR, operation, cure, status=status)
        case 403 if problem is None:  # a 403 without a document is throttling, not a missing right (section 12)
            return RetryLater(VENDOR, operation, "throttled", status=status, after=after)
        case 403 if operation in OPTIONAL:
            return FeatureMissing(VENDOR, operation, told, status=status)
        case 403 | 426:
            return NeedsOperator(VENDOR, operation, told or "not allowed", status=status)
        case 429:
            return RetryLater(VENDOR, operation, told or "too many requests", status=status, after=after)
        case _ if status >= 500:
            return Unknown(VENDOR, operation, "the server failed", status=status, after=after)
        case 400 if problem is not None and "signed up to a lot of lists" in told:  # of the address: passes (section 3)
            return RetryLater(VENDOR, operation, told, status=status, after=CROWDED_REST)
        case 404 if operation == "members.list" and problem is not None:  # the audience itself
            cure = "there is no such audience in this account; set connections.mailchimp.audience to one that "
            cure += "`leadbridge check --live` names"
            return NeedsOperator(VENDOR, operation, cure, status=status)
        case _ if status >= 400 and problem is not None:
            return Refused(operation, problem, status)
        case _ if 300 <= status < 400:
            words = "answered with a redirect, which is not followed; check base_url"
            return Unknown(VENDOR, operation, words, status=status)
    return Unknown(VENDOR, operation, "an answer that is none of Mailchimp's", status=status)

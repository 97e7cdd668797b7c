"""Shapes of what Salesforce answers, as far as we look at them, and the naming of its errors.

An error body is a list on data paths, an object on the way in, and HTML from the edge (vendors/salesforce.md, section
7); the text of the library's exceptions holds addresses, so it is never looked at.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from simple_salesforce.exceptions import SalesforceError

from connectors.values import clean
from leadbridge.call import Garbled, transport_error
from leadbridge.errors import FeatureMissing, NeedsOperator, RecordRefused, RetryLater, Unknown, VendorError

VENDOR = "salesforce"
CLIENT = "leadbridge"
"""What our calls name themselves; a change event's `changeOrigin` tells it back (section 4.3)."""
OPTIONAL = "activity."
"""First part of the names of operations on objects that an org or a user may lack: that switches a source off."""

S = TypeVar("S", bound="Shape")

QUOTA_REST = 3600.0
"""Seconds to leave an org alone whose daily calls are used up: they come back over 24 hours (section 7)."""

CROWD_REST = 5.0
"""Seconds to wait while too many long calls run at once."""

LOCKS = ("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access")

_LATER = {"UNABLE_TO_LOCK_ROW", "REQUEST_RUNNING_TOO_LONG", "QUERY_TIMEOUT", "TXN_SECURITY_METERING_ERROR"}
_QUOTA = {"LIMIT_EXCEEDED", "EXCEEDED_QUOTA", "API_BATCHES_EXCEEDED"}
_MAINTENANCE = {"INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE", "ORG_IN_MAINTENANCE"}
_NO_API = {"API_DISABLED_FOR_ORG", "API_CURRENTLY_DISABLED", "FUNCTIONALITY_NOT_ENABLED"}
_ABSENT = {"INVALID_TYPE", "NOT_FOUND", "INVALIDENTITY", "INSUFFICIENT_ACCESS", "INVALID_TYPE_FOR_OPERATION"}
FIELD_FAULTS = {"INVALID_FIELD", "INVALID_FIELD_FOR_INSERT_UPDATE", "FIELD_NOT_UPDATABLE"}
"""Refusals that no other record would escape: a field is gone, hidden, or not ours to write (section 4.4)."""


class Shape(BaseModel):
    """A part of an answer; what we do not look at is ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Problem(Shape):
    """One error. Rows of a collection spell its code `statusCode`, whole answers `errorCode` (section 4.1)."""

    code: str = Field("", alias="errorCode")
    row_code: str = Field("", alias="statusCode")
    message: str = ""
    fields: Annotated[list[str], BeforeValidator(lambda raw: raw if isinstance(raw, list) else [])] = []

    @property
    def name(self) -> str:
        return self.code or self.row_code

    def words(self) -> str:
        told = " ".join(part for part in (self.name, self.message.strip()) if part)
        return f"{', '.join(self.fields)}: {told}" if self.fields else told or "refused without a word"


class QueryAnswer(Shape):
    """A page of a query. Records stay wild until each is read by itself."""

    records: list[dict[str, Any]]
    done: bool
    following: str | None = Field(None, alias="nextRecordsUrl")
    total: int = Field(0, alias="totalSize")


class RowAnswer(Shape):
    """What became of one record of a collection."""

    id: str | None = None
    success: bool
    errors: list[Problem] = []


class Saved(Shape):
    """What became of one record sent by itself."""

    id: str
    success: bool


class Job(Shape):
    """A job of the Bulk API 2.0."""

    id: str
    state: str
    error: str = Field("", alias="errorMessage")
    failed: int = Field(0, alias="numberRecordsFailed")


class Versions(Shape):
    class One(Shape):
        version: str

    versions: list[One]


class Counts(Shape):
    class Count(Shape):
        name: str
        count: int

    counts: list[Count] = Field(alias="sObjects")


class Covered(Shape):
    """A change feed: what changed, and up to when that is surely all (section 3.3)."""

    latest: str = Field(alias="latestDateCovered")
    ids: list[str] = []


class Deleted(Shape):
    class One(Shape):
        id: str

    latest: str = Field(alias="latestDateCovered")
    earliest: str = Field("", alias="earliestDateAvailable")
    deleted: list[One] = Field(default_factory=list, alias="deletedRecords")


class Token(Shape):
    """A grant. There is no `expires_in`: the only sign of an end is a 401 (section 1.2)."""

    access_token: str
    instance_url: str
    id: str  # ends in /{organisation}/{user}


class Refused(RecordRefused):
    """A call Salesforce refuses as it stands, with its reasons."""

    def __init__(self, operation: str, problems: Sequence[Problem], status: int) -> None:
        told = "; ".join(dict.fromkeys(one.words() for one in problems)) or "refused without a word"
        super().__init__(VENDOR, operation, told, status=status)
        self.problems = tuple(problems)

    @property
    def codes(self) -> set[str]:
        return {one.name for one in self.problems}


class Expired(NeedsOperator):
    """The token is not accepted any more; a fresh one may be."""


def shaped(shape: type[S], answer: object) -> S:
    """An answer in its shape. Raises Garbled."""
    try:
        return shape.model_validate(answer)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Garbled(f"the answer is not what it should be ({first['type']} at {where or 'its start'})") from None


def rows_of(answer: object) -> list[RowAnswer | None]:
    """The rows of a collection's answer, by position; None for one that cannot be read. Raises Garbled."""
    if answer is None:  # the library's word for an empty list (section 8.4)
        return []
    if not isinstance(answer, list):
        raise Garbled("the answer of a collection is not a list")
    return [_row(one) for one in answer]


def _row(raw: object) -> RowAnswer | None:
    try:
        return RowAnswer.model_validate(raw)
    except ValidationError:
        return None


_PROBLEMS = TypeAdapter(list[Problem])


def problems_of(content: object) -> list[Problem]:
    """The errors of a body; empty when it is none of Salesforce's (HTML from the edge)."""
    if isinstance(content, Mapping):  # on the way in
        return [Problem(errorCode=str(content.get("error", "")), message=str(content.get("error_description", "")))]
    try:
        return _PROBLEMS.validate_python(content)
    except ValidationError:
        return []


def name_error(operation: str, error: Exception) -> VendorError | None:
    """What an exception of the library means to the caller (sections 1.3, 4.4 and 7)."""
    if isinstance(error, SalesforceError):
        return by_status(operation, int(error.status), problems_of(error.content))
    if isinstance(error, KeyError | IndexError | ValueError):  # it stumbles over bodies it did not expect (section 8.4)
        return Unknown(VENDOR, operation, "the answer is not what it should be")
    return transport_error(VENDOR, operation, error)


def by_status(operation: str, status: int, problems: Sequence[Problem]) -> VendorError:
    """The error a status and a body stand for."""
    codes = {one.name for one in problems}
    told = "; ".join(one.words() for one in problems) or f"HTTP {status}"
    match status:
        case 401:
            if any("not valid for use" in one.message or "not attached" in one.message for one in problems):
                cure = "give the app the scope api, and its user API access"
                return NeedsOperator(VENDOR, operation, f"the session may not use the API: {cure}", status=status)
            return Expired(VENDOR, operation, "the session is not accepted", status=status)
        case 403 if "REQUEST_LIMIT_EXCEEDED" in codes:
            crowd = any("Concurrent" in one.message for one in problems)
            rest = CROWD_REST if crowd else QUOTA_REST
            return RetryLater(VENDOR, operation, told, status=status, after=rest)
        case 403 if codes & _NO_API:
            return NeedsOperator(VENDOR, operation, f"no API access in this edition or for this user: {told}")
        case 403 if operation.startswith(OPTIONAL):
            return FeatureMissing(VENDOR, operation, told, status=status)
        case 403:
            return NeedsOperator(VENDOR, operation, f"not allowed for our user: {told}", status=status)
        case 410:
            cure = "set connections.salesforce.api_version to a newer one"
            return NeedsOperator(VENDOR, operation, f"this version of the API is retired; {cure}", status=status)
        case 406 | 420 | 423 | 429:  # the edge cannot route the org yet, or is busy (section 7): nothing was done
            return RetryLater(VENDOR, operation, told, status=status)
        case _ if status >= 500:
            return Unknown(VENDOR, operation, told, status=status)
        case _ if status < 400:
            what = "answered with a redirect, which is not followed; check domain and base_url"
            return Unknown(VENDOR, operation, what, status=status)
    if codes & _QUOTA:
        return RetryLater(VENDOR, operation, told, status=status, after=QUOTA_REST)
    if codes & _MAINTENANCE:
        return RetryLater(VENDOR, operation, told, status=status, after=QUOTA_REST)
    if codes & _LATER:
        return RetryLater(VENDOR, operation, told, status=status)
    if codes & _ABSENT and operation.startswith(OPTIONAL):
        return FeatureMissing(VENDOR, operation, told, status=status)
    return Refused(operation, problems, status)


def flat(raw: Mapping[str, Any]) -> dict[str, str]:
    """A record of a query as text by path: {"Account": {"Name": "Acme"}} is {"Account.Name": "Acme"}.

    Nulls are left out, of fields and of parents alike; truths become "true" and "false".
    """
    found: dict[str, str] = {}
    for name, value in raw.items():
        if name == "attributes" or value is None:
            continue
        if isinstance(value, Mapping):
            found |= {f"{name}.{below}": text for below, text in flat(value).items()}
        else:
            found[name] = clean(str(value).lower() if isinstance(value, bool) else str(value))
    return found

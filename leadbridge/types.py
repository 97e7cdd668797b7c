"""The words every room shares. Plain frozen values: no behaviour beyond reading themselves."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple, TypeAlias, overload

Value: TypeAlias = str | float | int | bool | datetime | date | None
"""What an attribute may hold. None is "unknown", which is never zero and never an error."""

PersonId: TypeAlias = int


class ActivityKind(StrEnum):
    """What a person did (DESIGN section 7). A vendor's word we do not know is OTHER, and counted."""

    PAGE_VIEW = "page_view"
    FORM_SUBMITTED = "form_submitted"
    FILE_DOWNLOADED = "file_downloaded"
    EMAIL_SENT = "email_sent"
    EMAIL_OPENED = "email_opened"
    EMAIL_CLICKED = "email_clicked"
    EMAIL_BOUNCED = "email_bounced"
    UNSUBSCRIBED = "unsubscribed"
    MEETING = "meeting"
    CALL = "call"
    TASK = "task"
    CAMPAIGN_RESPONSE = "campaign_response"
    LIST_JOINED = "list_joined"
    SOCIAL_FOLLOWED = "social_followed"
    SOCIAL_LIKED = "social_liked"
    SOCIAL_COMMENTED = "social_commented"
    SOCIAL_SHARED = "social_shared"
    SOCIAL_CLICKED = "social_clicked"
    CHAT = "chat"
    WEBINAR_ATTENDED = "webinar_attended"
    PRODUCT_USED = "product_used"
    PURCHASE = "purchase"
    SUPPORT_TICKET = "support_ticket"
    SURVEY_ANSWERED = "survey_answered"
    DEAL_STAGE_CHANGED = "deal_stage_changed"
    OTHER = "other"
    MACHINE_OPENED = "machine_opened"  # a mail opened by a proxy or scanner (`leadbridge.machines`), by nobody
    MACHINE_CLICKED = "machine_clicked"


class LifecycleStage(StrEnum):
    """CRM stage, in the order a person moves through it."""

    SUBSCRIBER = "subscriber"
    LEAD = "lead"
    MQL = "mql"
    SQL = "sql"
    OPPORTUNITY = "opportunity"
    CUSTOMER = "customer"
    EVANGELIST = "evangelist"

    @property
    def rank(self) -> int:
        return list(LifecycleStage).index(self)


class BuyerJourney(StrEnum):
    """How far a person's own thinking has come."""

    AWARENESS = "awareness"
    CONSIDERATION = "consideration"
    DECISION = "decision"


class RecordRef(NamedTuple):
    """Where a person is kept at a vendor: ("hubspot", "contact", "512")."""

    vendor: str
    object_type: str
    record_id: str

    @property
    def key(self) -> str:
        """Person key of this record, e.g. "hubspot:contact:512"."""
        return f"{self.vendor}:{self.object_type}:{self.record_id}"


def email_key(canonical_address: str) -> str:
    """Person key of an address in canonical form (`leadbridge.addresses.canonical`)."""
    return f"email:{canonical_address}"


@dataclass(frozen=True, slots=True)
class Past:
    """What a CRM record held from `at` until the next of its kind, or until the record's `modified_at`."""

    at: datetime
    email: str | None
    attributes: Mapping[str, Value]
    opted_out: bool = False


@dataclass(frozen=True, slots=True)
class Lead:
    """One CRM record of one person, in our words, as the vendor held it at `modified_at`."""

    ref: RecordRef
    email: str | None  # as the vendor shows it; None when the record has none
    attributes: Mapping[str, Value]  # our field names, typed as the configuration says
    modified_at: datetime
    created_at: datetime | None = None
    opted_out: bool = False  # the CRM says: no marketing e-mail
    written: Mapping[str, str] = field(default_factory=dict)  # our write-back properties as the CRM holds them
    aliases: tuple[RecordRef, ...] = ()  # records merged into this one
    counters: Mapping[str, str] = field(default_factory=dict)  # numbers the vendor only counts up, in its own words
    other_emails: tuple[str, ...] = ()  # further addresses of the same human, as the vendor shows them
    shares_address: bool = False  # its CRM keeps several records of one person under one address
    past: tuple[Past, ...] = ()  # what it held before, oldest first, where the vendor was asked and remembers


@dataclass(frozen=True, slots=True)
class Activity:
    """One dated thing one person did. Unique by (source, source_id)."""

    subject: str  # person key: RecordRef.key or email_key(...)
    kind: ActivityKind
    at: datetime
    source: str  # "hubspot.events": vendor and stream
    source_id: str
    attributes: Mapping[str, str | float | int | bool] = field(default_factory=dict)


BOUND_LINE = re.compile(r"(at most|at least) -?[0-9.e+-]+|rounding")
"""Names of contributions that are bounds; no rule may be named so."""


class Contribution(NamedTuple):
    """Points one rule (or one bound that took effect) gave one person. They sum to the score exactly."""

    category: str
    rule: str  # rule name, or "at most 40" / "at least 0" / "rounding" for a bound
    points: float


class Lines(Sequence[Contribution]):
    """The contributions of one person within columns of many people's: values only once somebody looks at them.

    Line i is named names[code[i]] and gives points[i]; the person's are those from `start` up to `stop`.
    """

    __slots__ = ("code", "names", "points", "start", "stop")

    def __init__(
        self, names: tuple[tuple[str, str], ...], code: list[int], points: list[float], start: int, stop: int
    ) -> None:
        self.names, self.code, self.points, self.start, self.stop = names, code, points, start, stop

    def __len__(self) -> int:
        return self.stop - self.start

    @overload
    def __getitem__(self, place: int) -> Contribution: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Contribution]: ...
    def __getitem__(self, place: int | slice) -> Contribution | Sequence[Contribution]:
        return tuple(self)[place]

    def __iter__(self) -> Iterator[Contribution]:
        places = zip(self.code[self.start : self.stop], self.points[self.start : self.stop], strict=True)
        return (Contribution(*self.names[code], points) for code, points in places)

    def giving(self) -> list[str]:
        """Names of the rules that give points; as `giving`, without a Contribution for each line."""
        places = zip(self.code[self.start : self.stop], self.points[self.start : self.stop], strict=True)
        return [self.names[code][1] for code, points in places if points > 0]

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, Sequence) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


def giving(lines: Sequence[Contribution]) -> list[str]:
    """Names of the rules that give points here."""
    return lines.giving() if isinstance(lines, Lines) else [line.rule for line in lines if line.points > 0]


class Score(NamedTuple):
    """One person's score under one model at one instant."""

    person_id: PersonId
    name: str  # "lead", "customer"
    value: int  # within `scale`
    grade: str | None
    categories: Mapping[str, float]
    contributions: Sequence[Contribution]
    model: str  # content hash of the rules
    at: datetime
    scale: tuple[int, int] = (0, 100)  # the least and the most it can be
    cell: str | None = None  # of the matrix: letter and figure, "A1"
    probability: float | None = None  # 0..1, by a trained model


class EnrolmentState(StrEnum):
    """States of the ledger; rows move one way (reliability pattern 5)."""

    WANTED = "wanted"
    CHECKED = "checked"
    CALLING = "calling"
    DONE = "done"
    REFUSED = "refused"
    UNCERTAIN = "uncertain"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    HELD = "held"


def way_name(journey: str, variant: str) -> str:
    """What an e-mail platform is told to start or end: the journey's name, and the variant's if it has variants."""
    return f"{journey} / {variant}" if variant else journey


class SuppressionReason(StrEnum):
    """Why an address must not be mailed."""

    UNSUBSCRIBED = "unsubscribed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    ERASED = "erased"
    CRM_OPT_OUT = "crm_opt_out"
    OPERATOR = "operator"


class EventKind(StrEnum):
    """What a webhook says has happened. A vendor's word we do not know is OTHER: kept, and counted."""

    CHANGED = "changed"
    CREATED = "created"
    DELETED = "deleted"
    RESTORED = "restored"
    ERASED = "erased"  # the person asked to be forgotten
    MERGED = "merged"
    ASSOCIATED = "associated"
    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"
    CLEANED = "cleaned"  # the e-mail platform gave the address up: bounced, or complained
    EMAIL_CHANGED = "email_changed"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """One event in our words. A hint where to look: what is true is read from the vendor (reliability pattern 9)."""

    vendor: str
    kind: EventKind
    refs: tuple[RecordRef, ...] = ()  # records to read again; of a merge, the surviving one
    emails: tuple[str, ...] = ()  # canonical addresses to look at again
    occurred_at: datetime | None = None  # None: the vendor did not say
    merged: tuple[str, ...] = ()  # ids that are now names of `new_id`
    new_id: str | None = None  # the surviving record of a merge
    property: str | None = None  # vendor's name of the property that changed
    value: str | None = None  # what it was changed to; None: the vendor did not say
    source: str | None = None  # vendor's word for who changed it
    reason: SuppressionReason | None = None  # why the addresses must not be mailed any more

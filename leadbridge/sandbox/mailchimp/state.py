"""Everything the stand-in remembers, as plain data. No rule lives here."""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


def hash_of(email: str) -> str:
    """The subscriber hash: md5 of the lower-cased address (vendor page, 3)."""
    return hashlib.md5(email.strip().lower().encode(), usedforsecurity=False).hexdigest()


def code_of(*parts: object) -> str:
    """A made-up hexadecimal id that is the same in every run."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


PERSON_IP, SCANNER_IP = "203.0.113.9", "198.51.100.20"
PROXY_IP = "17.58.63.20"  # of the network of Apple, whose mail client fetches by proxy


@dataclass(slots=True)
class Event:
    """A custom event of one contact."""

    name: str
    properties: dict[str, str]
    occurred_at: datetime


@dataclass(slots=True)
class Activity:
    """One thing that happened between one contact and one mailing."""

    action: str  # sent, open, click, bounce, unsub
    at: datetime
    campaign_id: str
    url: str = ""
    bounce_type: str = ""
    ip: str = PERSON_IP  # whence a mail was opened or a link followed


@dataclass(slots=True)
class Member:
    """One contact of one audience. ``contact_id`` stays when the address changes."""

    email: str
    status: str
    contact_id: str
    web_id: int
    created: datetime
    last_changed: datetime
    merge_fields: dict[str, Any] = field(default_factory=dict)
    tags: dict[int, datetime] = field(default_factory=dict)
    permissions: dict[str, bool] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    # A person's own unsubscribe or a bounce: nobody but the person may undo it ("compliance state").
    compliance: bool = False
    unsubscribed_at: datetime | None = None
    unsubscribe_reason: str = ""
    timestamp_signup: datetime | None = None
    timestamp_opt: datetime | None = None
    ip_signup: str = ""
    ip_opt: str = ""
    language: str = ""
    vip: bool = False
    email_type: str = "html"
    source: str = "API - Generic"

    @property
    def id(self) -> str:
        return hash_of(self.email)

    @property
    def unique_email_id(self) -> str:
        return self.contact_id[:10]

    @property
    def full_name(self) -> str:
        return " ".join(str(self.merge_fields[tag]) for tag in ("FNAME", "LNAME") if self.merge_fields.get(tag))


@dataclass(slots=True)
class MergeField:
    merge_id: int
    tag: str
    name: str
    type: str
    required: bool = False
    default_value: str = ""
    public: bool = False
    display_order: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    help_text: str = ""


@dataclass(slots=True)
class Tag:
    """A tag, which is also a static segment of the same id."""

    id: int
    name: str
    created: datetime


@dataclass(slots=True)
class Webhook:
    id: str
    url: str
    events: dict[str, bool]
    sources: dict[str, bool]
    secret: str
    signed: bool
    disabled: bool = False


@dataclass(slots=True)
class Audience:
    """A "list" in the paths."""

    id: str
    name: str
    created: datetime
    double_optin: bool = False
    permissions: dict[str, str] = field(default_factory=dict)  # GDPR fields: id to text
    merge_fields: dict[int, MergeField] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)  # by subscriber hash
    by_contact: dict[str, Member] = field(default_factory=dict)  # by contact_id; goes with `members`
    forgotten: set[str] = field(default_factory=set)  # hashes of permanently deleted addresses
    tags: dict[int, Tag] = field(default_factory=dict)
    webhooks: dict[str, Webhook] = field(default_factory=dict)

    def tag_named(self, name: str) -> Tag | None:
        """Names are compared without regard to case (vendor page, 5)."""
        folded = name.strip().lower()
        return next((tag for tag in self.tags.values() if tag.name.lower() == folded), None)

    def field_tagged(self, tag: str) -> MergeField | None:
        return next((one for one in self.merge_fields.values() if one.tag == tag), None)


@dataclass(slots=True)
class Journey:
    """An automation flow with one starting point and one e-mail."""

    id: int
    name: str
    list_id: str
    campaign_id: str
    step_id: int | None = None
    tag: str | None = None
    merge_field: str | None = None  # "LEADGRADE": any change starts it; "LEADGRADE=A": a change to that value
    event: str | None = None
    exit_tag: str | None = None  # the exit condition: whoever bears this tag leaves, and is not let in
    reentry: bool = False
    paused: bool = False
    started: datetime | None = None
    entries: dict[str, list[datetime]] = field(default_factory=dict)  # by contact_id
    exits: dict[str, list[datetime]] = field(default_factory=dict)


@dataclass(slots=True)
class Campaign:
    id: str
    web_id: int
    title: str
    list_id: str
    type: str  # "regular", or "automation-email" for the mail of a journey
    created: datetime
    send_time: datetime | None
    activity: dict[str, list[Activity]] = field(default_factory=dict)  # by contact_id, in order of first mention


@dataclass(slots=True)
class Automation:
    """A classic automation, the least that queueing needs."""

    id: str
    title: str
    email_id: str
    list_id: str
    created: datetime
    queue: dict[str, str] = field(default_factory=dict)  # subscriber hash to address
    removed: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Batch:
    id: str
    operations: list[dict[str, Any]]
    submitted: datetime
    due: float  # `Clock.ticks` at which it runs, polled or not
    phase: int = 0  # index into batches.PHASES
    finished_at: datetime | None = None
    total: int = 0
    finished: int = 0
    errored: int = 0
    results: list[dict[str, Any]] | None = None  # None: not run yet
    links: int = 0  # how many download addresses were given out


@dataclass(slots=True)
class State:
    audiences: dict[str, Audience] = field(default_factory=dict)
    campaigns: dict[str, Campaign] = field(default_factory=dict)
    journeys: dict[int, Journey] = field(default_factory=dict)
    automations: dict[str, Automation] = field(default_factory=dict)
    batches: dict[str, Batch] = field(default_factory=dict)
    batch_hooks: dict[str, tuple[str, bool]] = field(default_factory=dict)  # id to (address, enabled)
    activity: dict[str, list[Activity]] = field(default_factory=dict)  # by contact_id, in order of arrival
    counters: dict[str, int] = field(default_factory=dict)

    def next(self, kind: str, first: int = 1) -> int:
        """The next number of its kind."""
        number = self.counters.get(kind, first)
        self.counters[kind] = number + 1
        return number

    def happened(self, contact_id: str, activity: Activity) -> None:
        """Keep one activity where both the reports and the feed of the contact find it."""
        self.campaigns[activity.campaign_id].activity.setdefault(contact_id, []).append(activity)
        self.activity.setdefault(contact_id, []).append(activity)

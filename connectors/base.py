"""The two contracts a vendor's room fulfils, and the small values they speak in.

A room translates: vendor words stop at its door. It keeps no state of ours: where a pull stands is a `Progress` that
the caller stores in the same transaction as the rows it covers, and hands back the next time.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Generic, TypeVar

from leadbridge.budgets import Day
from leadbridge.errors import Fault, FeatureMissing
from leadbridge.types import Activity, Lead, RecordRef, SuppressionReason, Value

T = TypeVar("T")

Progress = Mapping[str, str]
"""Where a pull stands, in the room's own words; small, JSON-able, opaque to everyone else."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Rows to store, and the progress to store with them. `progress` is true only once the rows are committed."""

    rows: Sequence[T]
    progress: Progress
    skipped: Mapping[str, int] = field(default_factory=dict)  # what could not be read: reason to count
    gone: Sequence[RecordRef] = ()  # of leads: records that are no more, where the vendor lists them
    missed: bool = False  # of leads: some that are no more may never be listed; every record known is to be read again


@dataclass(frozen=True, slots=True)
class Reading:
    """Answer to "read these records": every one asked for is in exactly one of the three."""

    found: Sequence[Lead]
    gone: Sequence[RecordRef] = ()  # archived, deleted, or never there
    moved: Mapping[RecordRef, RecordRef] = field(default_factory=dict)  # old: the surviving one, which is in `found`


class Outcome(StrEnum):
    """How one write ended."""

    WRITTEN = "written"
    REFUSED = "refused"  # the vendor refuses this record: quarantine
    GONE = "gone"  # the record does not exist any more
    MOVED = "moved"  # merged into another record: re-read that one
    UNANSWERED = "unanswered"  # the vendor's answer did not mention it: a fault, to be tried again


@dataclass(frozen=True, slots=True)
class Settled:
    """How one write ended, and the vendor's words when it did not succeed."""

    outcome: Outcome
    reason: str = ""
    moved_to: RecordRef | None = None
    suppress: SuppressionReason | None = None  # an e-mail platform's refusal that is final for the person


@dataclass(frozen=True, slots=True)
class Change:
    """Values to set on one record: vendor's property name to text. Setting is safe to repeat."""

    ref: RecordRef
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PropertySpec:
    """A property leadbridge needs at the vendor: what `apply` creates and `check` compares."""

    name: str  # vendor's name
    label: str
    kind: str  # "number" | "text" | "choice" | "date"; a "webhook" to us; a "subscription" of the vendor's log
    description: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ByHand:
    """Something at the vendor that only a person can set up: no API makes it, or tells whether it is there."""

    what: str  # "webhook subscriptions"
    how: str  # where to go, and what to do there
    entries: tuple[str, ...]  # what to enter, one each


@dataclass(frozen=True, slots=True)
class SalesTask:
    """A piece of work for somebody in sales, to be made at the CRM once and only once."""

    key: str  # ours, letters and digits: the vendor's record bears it, and by it an earlier one is found
    ref: RecordRef  # whom it is about
    subject: str
    body: str  # plain text of several lines; the room makes it safe for where the vendor shows it
    due_at: datetime
    owner: str | None = None  # the vendor's id of the user; None: nobody's yet


@dataclass(frozen=True, slots=True)
class Made:
    """How the making of one task ended; WRITTEN with the vendor's id, whether made now or found."""

    outcome: Outcome
    task_id: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TaskState:
    """What became of a task at the vendor."""

    done_at: datetime | None = None  # None: not done
    gone: bool = False  # deleted: somebody decided that it need not be done


@dataclass(frozen=True, slots=True)
class Heard:
    """What one message of a change stream told: to be stored together, and only then is the next one asked for."""

    progress: Progress  # the place after it
    deliveries: Sequence[tuple[bytes, int]] = ()  # as `connectors.deliveries` cuts them, and how many events each holds
    echoes: int = 0  # events that tell of our own writes, left out
    missed: str = ""  # why something may not have been told: read the vendor (reliability G13)


class Crm(ABC):
    """A CRM. All blanks below are for the room to fill; sync decides when each is called.

    Every method raises VendorError subclasses only (`leadbridge.errors`), after the wrapper of `leadbridge.call`
    has spent its retries.
    """

    vendor: ClassVar[str]  # key in the configuration, and part of every RecordRef: "hubspot"
    people: frozenset[str]  # types of object that are read as people, as RecordRef spells them: "contact"
    write_batch: ClassVar[int]  # records one write call carries
    read_batch: ClassVar[int] = 100  # records one call brings when everything is read
    topic: str | None = None  # the stream of changes it can be listened to on; None: it has none
    log: str | None = None  # of events, to be read afterwards; None: it has none, or it is not set up
    bulk_above: int | None = None  # more waiting writes than this go by `write_many`; None: never

    @abstractmethod
    def account(self) -> str:
        """Id of the account the credentials belong to, so that a wrong token never writes into another one."""

    @abstractmethod
    def pull_leads(self, progress: Progress | None, *, full: bool = False) -> Iterator[Page[Lead]]:
        """Yield pages of leads changed since `progress` (None: all). "At or after", never "after".

        Killed after any page and called again with that page's progress, it misses nothing; repeats are possible.
        `full` reads everything again although progress is there.
        """

    @abstractmethod
    def read_leads(self, refs: Sequence[RecordRef]) -> Reading:
        """Read these records as they are now, in batches of the vendor's size. Only types in `people` are asked for."""

    def counted(self, lead: Lead, before: Mapping[str, str]) -> Sequence[Activity]:  # noqa: ARG002 - a blank
        """What happened since a lead's counters stood at `before`, where the vendor counts and tells no events.

        Each says `counted` and how many (`count`). `before` is empty for a record read the first time.
        """
        return ()

    def people_behind(self, refs: Sequence[RecordRef]) -> Sequence[RecordRef]:  # noqa: ARG002 - a blank
        """Records of people whose leads show something of these other records, such as the contacts of a company.

        For webhook events about records that are no people. What is left out here a pull notices.
        """
        return ()

    def listen(self, progress: Progress | None, stop: threading.Event) -> Generator[Heard, None, None]:  # noqa: ARG002 - a blank
        """Yield what the change stream tells after `progress` (None: from now on), as it happens, until `stop` is set.

        Where `progress` has expired, it goes on from now and says so in `Heard.missed`. Raises VendorError when the
        stream ends; listen again from the last progress stored. Raises FeatureMissing where `topic` is None.
        """
        raise FeatureMissing(self.vendor, "events.subscribe", "leadbridge knows no stream of changes there")

    def pull_told(self, progress: Progress | None) -> Iterator[Heard]:  # noqa: ARG002 - a blank
        """Yield what the vendor's own log of events has told since `progress` (None: from now on), to its end.

        To fill the gaps of webhooks; called where `log` names one. Where `progress` has expired, it says so in
        `Heard.missed` and goes on from the earliest there is. Raises FeatureMissing where the account has no log.
        """
        raise FeatureMissing(self.vendor, "events.log", "leadbridge knows no log of events there")

    def count(self, object_type: str, since: datetime, before: datetime) -> int | None:  # noqa: ARG002 - a blank
        """How many records of this type, one of `people`, made in that time (`before` is not in it) the account has.

        By the vendor's own count, in one call, without records that are gone, merged or converted. None: it has none.
        """
        return None

    def day(self) -> Day | None:
        """The account's daily calls, as the last answer told them; None where none did. Calls nobody."""
        return None

    @abstractmethod
    def streams(self) -> Sequence[str]:
        """Names of the activity sources configured, e.g. ("forms", "events")."""

    @abstractmethod
    def pull_activities(self, stream: str, progress: Progress | None) -> Iterator[Page[Activity]]:
        """Yield pages of one source's activities since `progress`. Same promise as `pull_leads`.

        Raises FeatureMissing when the account does not offer the source.
        """

    @abstractmethod
    def changes(self, wanted: Mapping[str, Value], current: Mapping[str, str]) -> dict[str, str]:
        """Vendor properties to set so that the record shows `wanted`; empty when it already does. Pure.

        `wanted` is keyed by our write-back names; `current` holds what the vendor last confirmed, as text. Rounding,
        spelling and rules such as "a lifecycle stage only moves forward" are applied here, so that what is not worth
        a call never becomes one.
        """

    @abstractmethod
    def write(self, changes: Sequence[Change]) -> Mapping[RecordRef, Settled]:
        """Set properties. Safe to repeat. Every change is answered for, whatever the vendor answered."""

    def write_many(self, changes: Sequence[Change], meanwhile: Callable[[], None]) -> Mapping[RecordRef, Settled]:
        """`write` for a backlog, by the way the vendor has for many; it may take minutes.

        `meanwhile` is called about every second between two calls, from this thread; it may call this room, and does
        not raise.
        """
        meanwhile()
        return self.write(changes)

    @abstractmethod
    def missing(self, specs: Sequence[PropertySpec]) -> list[PropertySpec]:
        """Which of these properties the account lacks. Reads only."""

    @abstractmethod
    def create(self, specs: Sequence[PropertySpec]) -> None:
        """Create these properties. Repeating changes nothing."""

    @abstractmethod
    def specs(self) -> list[PropertySpec]:
        """The properties the configuration's write-back needs at this vendor. Pure."""

    def faults(self) -> list[Fault]:
        """Where the account and the configuration do not agree, each with its cure; reads only.

        `Fault.where` is a path of keys in the file. What `missing` tells is not told again.
        """
        return []

    def by_hand(self) -> Sequence[ByHand]:
        """What a person has to set up there so that everything configured works. Pure."""
        return ()

    def create_tasks(self, tasks: Sequence[SalesTask]) -> Mapping[str, Made]:  # noqa: ARG002 - a blank
        """Make these tasks, each at most once: one whose key an earlier task bears is found, not made again.

        Every key is answered for. Ask again for UNANSWERED ones after a minute at the earliest, when what was sent
        has become visible. Raises FeatureMissing at a CRM where leadbridge makes no tasks.
        """
        raise FeatureMissing(self.vendor, "tasks.create", "leadbridge makes no tasks there")

    def read_tasks(self, task_ids: Sequence[str]) -> Mapping[str, TaskState]:  # noqa: ARG002 - a blank
        """What became of these tasks. Every id is answered for. Raises as `create_tasks`."""
        raise FeatureMissing(self.vendor, "tasks.read", "leadbridge makes no tasks there")


class MemberStatus(StrEnum):
    """May this address receive marketing mail? Only SUBSCRIBED may."""

    SUBSCRIBED = "subscribed"
    PENDING = "pending"
    UNSUBSCRIBED = "unsubscribed"
    CLEANED = "cleaned"
    TRANSACTIONAL = "transactional"
    ARCHIVED = "archived"
    ABSENT = "absent"  # not in the audience
    UNKNOWN = "unknown"  # the vendor did not say; treated like ABSENT, and counted


@dataclass(frozen=True, slots=True)
class Member:
    """One address as the e-mail platform held it at `read_at` or later: when it was asked, not when it answered."""

    email: str
    status: MemberStatus
    read_at: datetime
    fields: Mapping[str, str] = field(default_factory=dict)  # our merge fields as the platform holds them


@dataclass(frozen=True, slots=True)
class OptOut:
    """One address that must not be mailed, as the platform reports it."""

    email: str
    reason: SuppressionReason
    at: datetime


class Entry(StrEnum):
    """How one enrolment call ended."""

    ENTERED = "entered"  # accepted by the vendor
    REFUSED = "refused"  # final for this person and journey
    NOTHING_HAPPENED = "nothing_happened"  # proven: the call never arrived or was turned away before acting
    UNCERTAIN = "uncertain"  # sent, and no answer that tells


STARTS_WITHIN = timedelta(seconds=10)
"""How long after it was asked an enrolment may begin its last try: what the gate said holds no longer (G20)."""


@dataclass(frozen=True, slots=True)
class Consent:
    """A person's recorded consent to marketing e-mail. Without one nobody is added as somebody to be mailed (G21)."""

    source: str  # where it was given: "form demo request"
    at: datetime
    wording: str  # what they agreed to
    ip: str | None = None


class EmailPlatform(ABC):
    """An e-mail platform. Nothing here can move a member to subscribed or pending, or un-archive one."""

    vendor: ClassVar[str]

    @abstractmethod
    def account(self) -> str:
        """As `Crm.account`."""

    def faults(self) -> list[Fault]:
        """As `Crm.faults`."""
        return []

    def by_hand(self) -> Sequence[ByHand]:
        """As `Crm.by_hand`."""
        return ()

    @abstractmethod
    def read_members(self, emails: Sequence[str]) -> Iterator[Mapping[str, Member]]:
        """Yield the members behind these canonical addresses in portions, each read just before it is yielded.

        Chooses the cheaper way by itself (one by one, or paging through the audience). Every address is yielded
        exactly once; an address not in the audience comes as ABSENT.
        """

    @abstractmethod
    def repeatable(self, journey: str) -> bool:
        """Is starting this configured journey twice the same as once (tag, merge field), or not (bare trigger)?

        Here and below, `journey` is a name of `Config.nurture.ways`; each variant of a journey has its own.
        """

    @abstractmethod
    def enrol(self, journey: str, email: str, *, again: bool = False) -> tuple[Entry, str]:
        """Start the configured journey for one address. Returns how it ended and the vendor's words.

        Called once per committed intent. Retries inside only what is proven not to have acted, and begins no try after
        `STARTS_WITHIN`. `again`: the address
        was in this journey before and is to enter it once more; without it, whoever bears the journey's tag or value
        already is not entered a second time.
        """

    @abstractmethod
    def entered(self, journey: str, email: str, *, again: bool = False) -> bool | None:
        """Proof from the vendor that the address was put into the journey: yes, no, or None when it cannot tell.

        `again` as in `enrol`: what an earlier entry left behind is no proof of a later one.
        """

    def can_leave(self, journey: str) -> bool:  # noqa: ARG002 - a blank
        """Is there a way to take somebody out of this configured journey?"""
        return False

    def leave(self, journey: str, email: str) -> Settled:  # noqa: ARG002 - a blank
        """Take one address out of the journey. Safe to repeat; says nothing of whether it was in.

        WRITTEN, GONE when it is not in the audience, or REFUSED. Raises FeatureMissing where `can_leave` is false.
        """
        raise FeatureMissing(self.vendor, "journeys.leave", f"there is no way out of {journey}")

    def add_member(self, email: str, fields: Mapping[str, str], consent: Consent | None = None) -> Settled:  # noqa: ARG002
        """Set merge fields on this address, adding it to the audience when it was never there.

        Added with consent it may be mailed, or is asked to confirm where the audience wants that; without, it is known
        and never mailed. An existing member's status stays as it is, whatever it is (G21). REFUSED for good when the
        platform says that the person left, bounced or was erased: `suppress` then says why nobody may mail it.
        """
        raise FeatureMissing(self.vendor, "members.add", "leadbridge adds nobody there")

    @abstractmethod
    def pull_opt_outs(self, progress: Progress | None) -> Iterator[Page[OptOut]]:
        """Yield everyone who left (unsubscribed, cleaned) since `progress` (None: all)."""

    @abstractmethod
    def streams(self) -> Sequence[str]:
        """Names of the activity sources configured, e.g. ("campaigns",)."""

    @abstractmethod
    def pull_activities(self, stream: str, progress: Progress | None) -> Iterator[Page[Activity]]:
        """As `Crm.pull_activities`."""

    def read_activities(
        self,
        emails: Sequence[str],  # noqa: ARG002 - a blank
        since: datetime,  # noqa: ARG002
        progress: Progress | None = None,  # noqa: ARG002
    ) -> Iterator[Page[Activity]]:
        """What these addresses did since then, as far as no source tells it: mail of journeys that stay hidden.

        For people whom leadbridge enrolled. May cost a call for each; yields nothing where the sources tell all.
        Killed after any page and called again with that page's progress, it asks for nothing a second time. A last
        page whose progress is not empty says that the platform is still at work: call again later.
        """
        return iter(())

    @abstractmethod
    def changes(self, wanted: Mapping[str, Value], current: Mapping[str, str]) -> dict[str, str]:
        """As `Crm.changes`, for merge fields."""

    @abstractmethod
    def write(self, changes: Mapping[str, Mapping[str, str]]) -> Mapping[str, Settled]:
        """Set merge fields (by canonical address) on existing members only; never touches their status."""

    def shows(self) -> bool:
        """Does the configuration write anything of ours to members? Pure."""
        return bool(self.specs())

    @abstractmethod
    def specs(self) -> list[PropertySpec]:
        """The merge fields the configuration's write-back needs. Pure."""

    @abstractmethod
    def missing(self, specs: Sequence[PropertySpec]) -> list[PropertySpec]:
        """Which of these merge fields the audience lacks. Reads only."""

    @abstractmethod
    def create(self, specs: Sequence[PropertySpec]) -> None:
        """Create these merge fields, not public. Repeating changes nothing."""

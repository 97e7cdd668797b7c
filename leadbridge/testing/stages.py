"""What the suites ask of a vendor's stage: an account of their own, hands that change it, trouble on demand.

A stage stands between the suite and whatever plays the vendor, and shares no code with the room: what really happened
is read off the vendor's side, never from the room's own word.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, TypeAlias

from connectors.base import Crm, EmailPlatform
from leadbridge.call import Pace, Patience
from leadbridge.types import RecordRef

PATIENT = Patience(connect=30.0, answer=30.0, whole=60.0, tries=4, first_wait=0.5, longest_wait=30.0)
"""Waits cost nothing with `Skipping`. An answer may be late, as on a busy machine: nothing is sent again for that."""

HASTY = Patience(connect=30.0, answer=0.15, whole=60.0, tries=10, first_wait=0.1, longest_wait=1.0)
"""For a vendor that hangs: soon given up, and tried often enough for a busy machine to answer one of the tries."""

HANG = 0.3
"""Seconds that are too long for `HASTY`."""


class Skipping:
    """Monotonic time in which a wait is over at once, and is remembered."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def ticks(self) -> float:
        return time.monotonic() + sum(self.waits)

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    def pace(self, patience: Patience = PATIENT) -> Pace:
        return Pace(patience, sleep=self.sleep, ticks=self.ticks)


TroubleKind: TypeAlias = Literal["status", "html", "empty", "hang", "reset_before", "reset_after", "truncate"]


@dataclass(frozen=True, slots=True)
class Trouble:
    """What the vendor's side is to do to the next calls instead of answering them as usual.

    `status`: an error of the vendor's own shape; `html`: a page of somebody in between; `empty`: no body; `hang`: an
    answer after `seconds`, and the call takes effect; `reset_before` and `reset_after`: the connection is cut, before
    or after the call took effect; `truncate`: half an answer.
    """

    kind: TroubleKind
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    times: int = 1
    skip: int = 0  # calls to leave alone first
    writing: bool = False  # only calls that write our properties


class CrmStage(Protocol):
    """An account of a CRM. It lists people by pages of 100. Names are the vendor's own.

    The room is configured with the fields `job_title` (the vendor's `title` property), `employees` (whole number, 120
    for everybody), `budget` (empty for everybody), and writes back `score`, `score.fit`, `grade` and `reasons`.
    """

    vendor: str
    credential: str  # key of the connection that holds the secret
    streams: Sequence[str]  # sources of activity
    page_sizes: Mapping[str, int]  # of the sources tested: how many rows make more than one page
    dated_by_edit: Collection[str]  # sources whose rows come again with every edit
    score: str
    fit: str
    grade: str
    title: str
    bad: Mapping[str, str]  # a value the vendor refuses
    unknown: str  # id of no record
    rest: float  # seconds a rate limit lasts; 0: the vendor says so itself

    def room(self, pace: Pace | None = None, **connection: Any) -> Crm:
        """The room over this account; `connection` replaces keys of its connection."""

    def ref(self, record_id: str) -> RecordRef: ...
    def refs(self, record_ids: Sequence[str]) -> list[RecordRef]: ...

    def calls(self, operation: str = "") -> int:
        """Calls that arrived so far; only those whose name begins so."""

    def reads(self) -> int:
        """Calls so far that list people of a full pull."""

    def calls_to_read(self, count: int) -> int:
        """The least number of calls that reads so many people by their ids."""

    def trouble(self, trouble: Trouble) -> None:
        """Let this befall the next calls."""

    def add(self, count: int, *, at: datetime | None = None) -> list[str]:
        """So many people, `lead0@acme.example` with title `Title 0` and so on, made at this time; their ids."""

    def edit(self, record_id: str, title: str) -> None:
        """A human gives somebody another title."""

    def merge(self, one: str, other: str) -> tuple[str, list[str]]:
        """The record both live on in, and the ids that are only names of it now."""

    def archive(self, record_id: str) -> None: ...
    def erase(self, record_id: str) -> None: ...

    def held(self, record_id: str) -> Mapping[str, str]:
        """What the vendor really holds of a record, as text."""

    def lose_property(self, name: str) -> None:
        """Somebody deletes a property of ours at the vendor."""

    def properties(self) -> object:
        """The vendor's definitions of properties, to be compared."""

    def lack_a_source(self) -> str:
        """From now on the account lacks one of its sources of activity; which."""

    def act(self, stream: str, record_id: str, count: int, now: datetime) -> None:
        """One person does something `count` times, a minute apart, the last one a minute ago."""


class EmailStage(Protocol):
    """An account of an e-mail platform with one audience.

    The room writes back `score` (a number), `grade`, `stage` and `reasons`, and has two journeys: `repeatable`, which
    may be started twice without harm, and `bare`, which may not.
    """

    vendor: str
    credential: str
    address: str  # key of the connection that says where the vendor is
    repeatable: str
    bare: str
    fields: Sequence[str]  # the vendor's names of what the room writes, the score's first
    stream: str  # source of engagement

    def room(self, pace: Pace | None = None, **connection: Any) -> EmailPlatform:
        """The room over this account; `connection` replaces keys of its connection."""

    def calls(self, operation: str = "") -> int:
        """Calls that arrived so far; only those whose name begins so."""

    def trouble(self, trouble: Trouble) -> None:
        """Let this befall the next calls."""

    def put(self, email: str, status: str, *, at: datetime | None = None) -> None:
        """Somebody is in the audience with this status, which is theirs since `at`. As `MemberStatus` spells it."""

    def calm(self) -> None:
        """No more trouble."""

    def is_public(self, field: str) -> bool:
        """Is this field, which the room made, shown to the members themselves?"""

    def status(self, email: str) -> str: ...
    def held(self, email: str) -> Mapping[str, str]: ...
    def unsubscribe(self, email: str) -> None: ...
    def bounce(self, email: str) -> None: ...

    def entries(self) -> int:
        """How often somebody entered a journey."""

    def mails(self) -> int:
        """How many mails of journeys left."""

    def raised(self) -> int:
        """How often a member was made, or a member's status changed, by a call."""

    def reject_journeys(self, *, loudly: bool) -> None:
        """Whoever is not subscribed and is put into a journey is refused in so many words, or silently passed over."""

    def newsletter(self, at: datetime) -> str:
        """A mail is sent to everybody; its id."""

    def engage(self, newsletter: str, email: str, what: str, at: datetime, url: str = "") -> None:
        """Somebody does something with it: "open", "click" or "bounce"."""

"""What all stand-ins share: one clock, one journal, one list of scripted faults.

The journal is append-only and is what tests believe instead of our own word: one entry for every call that arrived,
with the effects it really had.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


@dataclass(frozen=True, slots=True)
class Effect:
    """One real change of state: ``kind`` such as "property_changed", and whatever identifies it."""

    kind: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One call that arrived (or one webhook we sent), and what came of it."""

    seq: int
    at: str  # ISO 8601, sandbox clock
    vendor: str  # "hubspot" | "mailchimp" | "salesforce"
    operation: str  # stable name, e.g. "contacts.batch.update", "members.tags", "webhook.sent"
    method: str
    path: str
    status: int
    items: int  # inputs carried by the call (1 for calls on one thing)
    effects: tuple[Effect, ...]


class Clock:
    """The sandbox's time: real time plus an offset, or frozen at an instant. Thread-safe."""

    def __init__(self, frozen_at: datetime | None = None) -> None:
        self._face = (frozen_at, timedelta(0))  # one value, so that readers need no lock
        self._skipped = 0.0
        self._lock = threading.Lock()

    def now(self) -> datetime:
        frozen, offset = self._face
        return (frozen or datetime.now(UTC)) + offset

    def ticks(self) -> float:
        """Seconds for spans (rate windows, index lag, retries): never stands still, never goes back.

        A frozen clock must not freeze a rate window for ever, and an advanced clock must end it at once.
        """
        return time.monotonic() + self._skipped

    def set(self, at: datetime) -> None:
        """Stand still at an instant."""
        with self._lock:
            self._skipped += max(0.0, (at - self.now()).total_seconds())
            self._face = (at, timedelta(0))

    def advance(self, by: timedelta) -> None:
        with self._lock:
            frozen, offset = self._face
            self._face = (frozen, offset + by)
            self._skipped += max(0.0, by.total_seconds())

    def snapshot(self) -> tuple[datetime | None, timedelta]:
        return self._face

    def restore(self, face: tuple[datetime | None, timedelta]) -> None:
        """Show the time of a snapshot again; spans (``ticks``) go on."""
        self._face = face


class Journal:
    """Every call in order. Thread-safe; entries never change."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._calls: list[Call] = []
        self._lock = threading.Lock()

    def record(
        self,
        *,
        vendor: str,
        operation: str,
        method: str,
        path: str,
        status: int,
        items: int = 1,
        effects: tuple[Effect, ...] = (),
    ) -> None:
        with self._lock:
            self._calls.append(
                Call(
                    len(self._calls),
                    self._clock.now().isoformat(),
                    vendor,
                    operation,
                    method,
                    path,
                    status,
                    items,
                    effects,
                )
            )

    def since(self, seq: int = 0) -> list[Call]:
        with self._lock:
            return self._calls[seq:]

    def clear(self) -> None:
        """Forget everything and count from 0 again (only for a reset of the whole sandbox)."""
        with self._lock:
            self._calls.clear()

    def __iter__(self) -> Iterator[Call]:
        return iter(self.since())

    def __len__(self) -> int:
        return len(self._calls)


@dataclass(slots=True)
class Fault:
    """One piece of scripted trouble, used up after ``times`` matching calls.

    ``kind`` is one of: "status" (answer ``status`` with the vendor's own body for it), "html" (``status`` with an
    HTML body), "empty" (``status``, no body, no content type), "hang" (sleep ``seconds``, then carry on as usual),
    "reset_before" (close the connection, nothing done), "reset_after" (do the work, then close the connection),
    "truncate" (do the work, answer half of the JSON).
    """

    kind: str
    vendor: str = "*"
    operation: str = "*"  # exact name, or a prefix ending in "*"
    status: int = 500
    seconds: float = 0.0
    times: int = 1
    skip: int = 0  # let this many matching calls pass first
    headers: dict[str, str] = field(default_factory=dict)
    holding: str = ""  # only calls whose body holds this text, such as a record's id


class Faults:
    """Scripted trouble, first match wins. Thread-safe."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def __bool__(self) -> bool:
        return bool(self._faults)

    def take(self, vendor: str, operation: str, body: Callable[[], bytes] = bytes) -> Fault | None:
        """The fault that befalls this call, if any; its count goes down. `body` gives the call's, where it is asked."""
        with self._lock:
            for fault in self._faults:
                if fault.vendor not in ("*", vendor) or not _matches(fault.operation, operation):
                    continue
                if fault.holding and fault.holding.encode() not in body():
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                if fault.times > 0:
                    fault.times -= 1
                    return fault
        return None


def _matches(pattern: str, operation: str) -> bool:
    return operation.startswith(pattern[:-1]) if pattern.endswith("*") else pattern == operation


class World:
    """The ground under every stand-in of one sandbox."""

    def __init__(self, now: datetime | None = None) -> None:
        self.clock = Clock(now)
        self.journal = Journal(self.clock)
        self.faults = Faults()
        self.latency = 0.0  # seconds every vendor answer is held back

    def wait(self, seconds: float) -> None:
        """Real time passes: trouble that is slow must be slow for the caller."""
        time.sleep(seconds)


class Vendor(Protocol):
    """What the server asks of a stand-in besides answering calls."""

    name: str  # as in the journal: "hubspot"
    roots: tuple[str, ...]  # first parts of the paths it answers: ("/3.0",); none: all that nobody else does
    acts: frozenset[str]  # methods the control interface may call: seeding, and what people do themselves
    fault_content_type: str  # of an error body

    @property
    def app(self) -> "WSGIApplication": ...

    @property
    def settings(self) -> object:
        """Switches as attributes; the control interface sets them by name."""

    def operation_of(self, method: str, path: str) -> str:
        """The journal's name of a call, for scripted faults."""

    def fault_body(self, status: int) -> object:
        """The vendor's own error body for a status, for a scripted fault."""

    def dump(self) -> Mapping[str, Any]:
        """The whole state as JSON that two runs can compare: sorted, nothing volatile."""

    def snapshot(self) -> Any:
        """A copy of the state that later changes do not touch."""

    def restore(self, snapshot: Any) -> None:
        """Be as at ``snapshot`` again; a snapshot can be restored many times."""

    def close(self) -> None:
        """End what runs in the background."""

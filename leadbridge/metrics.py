"""Every counter of the process, declared once with its help text.

Plain numbers in memory, safe to raise from any thread. Label values are stable codes of ours, never text from outside,
so that their number stays small.
"""

import threading
from collections.abc import Mapping
from typing import TypeAlias

_lock = threading.Lock()
_all: dict[str, "Counter"] = {}


class Counter:
    """A number that only grows, one per combination of label values."""

    def __init__(self, name: str, help_text: str, *labels: str) -> None:
        if name in _all:
            raise ValueError(f"counter {name} is declared twice")
        self.name = name
        self.help = help_text
        self.labels = labels
        self._values: dict[tuple[str, ...], int] = {}
        self._stored: dict[tuple[str, ...], int] = {}
        _all[name] = self

    def add(self, amount: int = 1, **labels: str) -> None:
        """Raise by `amount`. Every declared label must be given. Raises KeyError for a missing or unknown label."""
        key = self._key(labels)
        with _lock:
            self._values[key] = self._values.get(key, 0) + amount

    def value(self, **labels: str) -> int:
        """The number for these label values; 0 when never raised."""
        return self._values.get(self._key(labels), 0)

    def values(self) -> dict[tuple[str, ...], int]:
        """All numbers, by label values in the order of declaration."""
        with _lock:
            return dict(self._values)

    def _key(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        if len(labels) != len(self.labels):
            raise KeyError(f"{self.name} has labels {self.labels}, not {tuple(labels)}")
        return tuple(labels[name] for name in self.labels)


def counters() -> tuple[Counter, ...]:
    """Every counter declared, in order of declaration."""
    return tuple(_all.values())


Amounts: TypeAlias = dict[tuple[str, tuple[str, ...]], int]
"""Numbers by counter and its label values."""


def unstored() -> Amounts:
    """What this process counted and has not noted as stored yet (`store.counts`)."""
    with _lock:
        return {
            (counter.name, labels): more
            for counter in _all.values()
            for labels, value in counter._values.items()
            if (more := value - counter._stored.get(labels, 0))
        }


def note_stored(amounts: Amounts) -> None:
    """These amounts of `unstored` are in the store now."""
    with _lock:
        for (name, labels), amount in amounts.items():
            stored = _all[name]._stored
            stored[labels] = stored.get(labels, 0) + amount


def reset() -> None:
    """Set every counter back to nothing. For tests."""
    with _lock:
        for counter in _all.values():
            counter._values.clear()
            counter._stored.clear()


WEBHOOK_DELIVERIES = Counter("webhook_deliveries", "Genuine deliveries committed and acknowledged", "vendor")
WEBHOOK_EVENTS = Counter(
    "webhook_events",
    "Events of stored deliveries, by what became of them: new, repeated, quarantined",
    "vendor",
    "outcome",
)
WEBHOOK_REFUSED = Counter("webhook_refused", "Requests refused at the door, by reason", "vendor", "reason")
WEBHOOK_UNAVAILABLE = Counter(
    "webhook_unavailable", "Genuine deliveries answered 503 for a fault of ours, by reason", "vendor", "reason"
)
WEBHOOK_GAPS = Counter(
    "webhook_gaps", "Rises of deliveries turned away that may be genuine, by reason of the last", "vendor", "reason"
)  # fmt: skip
INTAKE_LEFT_OUT = Counter(
    "intake_left_out", "Events or traits of the intake not stored, by reason: forgotten, nobody, no_consent, "
    "unreadable_trait", "reason"
)  # fmt: skip
CHANGE_EVENTS = Counter(
    "change_events", "Events of a change stream or log, by outcome: kept, echo, known; and gaps: missed",
    "vendor", "outcome"
)  # fmt: skip
VENDOR_CALLS = Counter(
    "vendor_calls", "Tries of vendor calls, by outcome: ok, retry_later, unknown, record_refused, feature_missing, "
    "needs_operator", "vendor", "operation", "outcome"
)  # fmt: skip
VENDOR_WORDS = Counter(
    "vendor_unknown_words", "Words of a vendor that we do not know, kept as OTHER or UNKNOWN", "vendor", "source"
)
STORE_CONFLICTS = Counter(
    "store_conflicts", "Transactions that the database ended because two waited for each other (tried again), by kind: "
    "deadlock, serialization", "kind"
)  # fmt: skip
WRITES_PAUSED = Counter(
    "writes_paused", "Wishes put off because their record was written six times within an hour; alarm on any", "vendor"
)

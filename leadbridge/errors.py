"""Every error leadbridge raises on purpose, named for what whoever catches it does next.

LeadbridgeError
├── ConfigError            the file is wrong: show every fault, exit 2, contact nobody
├── StoreError             the store cannot be used as asked: say what to change, exit 1
│   └── StoreConflict      two transactions waited for each other: nothing was written, do the step again
├── WebhookRefused         not the real sender, or unreadable: answer `status`, count `reason`
└── VendorError            a vendor call failed
    ├── RetryLater         worth another try, `after` seconds at the earliest
    │   └── Unknown        the call left and no answer came: only what is repeatable may be repeated
    ├── RecordRefused      this one record is refused: set it aside, the batch goes on
    ├── FeatureMissing     the account or tier does not have it: switch the feature off, say so once
    └── NeedsOperator      no retry can help: pause the connection and say so
"""

from dataclasses import dataclass


class LeadbridgeError(Exception):
    """Root of all errors raised on purpose. Its text is fit for a person to read and holds no secret."""


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing wrong with a configuration file."""

    line: int  # 1-based; 0 when the fault belongs to the file as a whole
    where: str  # path of keys, e.g. "scores.lead.rules[3].points"
    problem: str  # what is wrong, and what is allowed
    hint: str = ""  # nearest right spelling or the cure

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}" + (f" ({self.hint})" if self.hint else "")


class ConfigError(LeadbridgeError):
    """The configuration is wrong. `faults` holds every fault found, in file order."""

    def __init__(self, file: str, faults: list[Fault]) -> None:
        self.file = file
        self.faults = sorted(faults)
        super().__init__("\n".join(f"{file}:{fault.line}: {fault}" for fault in self.faults))


class StoreError(LeadbridgeError):
    """The store cannot be opened or used as asked; the text says what to change."""


class StoreConflict(StoreError):
    """The database ended this transaction because two waited for each other; nothing of it was written. Try again."""


class WebhookRefused(LeadbridgeError):
    """A delivery is not genuine or not readable. `reason` is a stable code, safe to answer and to count."""

    def __init__(self, reason: str, status: int = 401) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class VendorError(LeadbridgeError):
    """A vendor call failed. One of the subclasses says what to do about it."""

    def __init__(self, vendor: str, operation: str, problem: str, *, status: int | None = None) -> None:
        super().__init__(f"{vendor}: {operation}: {problem}" + (f" (HTTP {status})" if status else ""))
        self.vendor = vendor
        self.operation = operation
        self.problem = problem
        self.status = status


class RetryLater(VendorError):
    """Worth another try. `after` is the vendor's own wish in seconds, when it stated one."""

    def __init__(
        self, vendor: str, operation: str, problem: str, *, status: int | None = None, after: float | None = None
    ) -> None:
        super().__init__(vendor, operation, problem, status=status)
        self.after = after


class Unknown(RetryLater):
    """The call was sent and the outcome is not known (time-out, cut connection, 5xx after sending).

    Repeat it only when repeating is harmless; an enrolment by bare trigger is not.
    """


class RecordRefused(VendorError):
    """The vendor refuses this one record. Set it aside; the batch goes on."""


class FeatureMissing(VendorError):
    """The account, tier or credential lacks what this call needs. Switch the feature off and say so."""


class NeedsOperator(VendorError):
    """No retry can help: revoked token, missing scope. Pause the connection and say so."""

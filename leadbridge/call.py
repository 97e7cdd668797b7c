"""One vendor SDK call: deadline, shared budget, retry, error naming, metrics (reliability patterns 13 and 14).

Every room sends through a `Caller` of its own. The room says how one try is made and what an exception of its SDK
means; the order of work is here: breaker, budget, one try, naming, and another try when that does no harm.

A plain `RetryLater` means *proven that nothing happened* (429, refused connection, failed name look-up); `Unknown`
means that the vendor may have acted. The first is always tried again, the second only when the call is repeatable.
"""

import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TypeVar

import urllib3
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from leadbridge import clock, logs, metrics
from leadbridge.budgets import Budget, Budgets, OwnBudgets, Turns
from leadbridge.errors import FeatureMissing, NeedsOperator, RecordRefused, RetryLater, Unknown, VendorError
from leadbridge.reach import InsideAddress

T = TypeVar("T")
ErrorNamer = Callable[[str, Exception], VendorError | None]
"""(operation, what the SDK raised) to an error of ours, or None for a fault of our own code."""

log = logs.logger(__name__)

LONGEST_PROBLEM = 500
"""Characters of a vendor's words kept in an error."""

MOST_BYTES = 64 * 1024 * 1024
"""Size of an answer beyond which we stop reading (reliability G6 in the other direction)."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one call may take and how often it is tried. Seconds.

    Whoever calls under a lease has it renewed meanwhile (`sync.holding.renewed`).
    """

    connect: float = 5.0  # until the connection stands
    answer: float = 30.0  # until one try is answered in full
    whole: float = 50.0  # all tries, and the waits between them
    tries: int = 5
    first_wait: float = 0.5  # the first wait is anything up to this, then up to twice as much, and so on
    longest_wait: float = 20.0  # a vendor that wants more is left to the caller, with `after`


@dataclass(frozen=True, slots=True)
class Pace:
    """How a connection spends time: its patience, what ends its waits early, and for tests how it waits at all."""

    patience: Patience = field(default_factory=Patience)
    stop: threading.Event = field(default_factory=threading.Event)  # set: the process is to end
    sleep: Callable[[float], object] | None = None  # default: until `stop` is set, or the time is over
    ticks: Callable[[], float] = time.monotonic  # durations are never read off the wall clock
    shared: Budgets | None = None  # where several workers meet within the vendor's limits; None: this is the only one

    @property
    def budgets(self) -> Budgets:
        """The limits of a connection: shared with every other worker, or this process's own."""
        return self.shared or OwnBudgets(self.ticks)

    def wait(self, seconds: float) -> None:
        (self.sleep or self.stop.wait)(seconds)


class TooSlow(Exception):
    """The answer began but did not end in time."""


class TooLong(Exception):
    """The answer is larger than anything we asked for."""


class Garbled(Exception):
    """The answer is not what the vendor's contract says, e.g. a page of HTML with status 200."""


# --- breaker ---------------------------------------------------------------------------------------------------------


class Breaker:
    """After `limit` calls in a row without a sign of life, `rest` seconds of quiet, then one probe, not a herd."""

    def __init__(self, limit: int = 5, rest: float = 30.0, ticks: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._rest, self._ticks = limit, rest, ticks
        self._lock = threading.Lock()
        self._silent = 0
        self._closed_until = 0.0

    def gate(self) -> float:
        """0.0 when a call may go; otherwise the seconds until the next probe."""
        with self._lock:
            if self._silent < self._limit:
                return 0.0
            now = self._ticks()
            if now < self._closed_until:
                return self._closed_until - now
            self._closed_until = now + self._rest  # this caller is the probe, the others wait for its word
            return 0.0

    def heard(self, *, alive: bool) -> None:
        with self._lock:
            self._silent = 0 if alive else self._silent + 1
            if self._silent >= self._limit:
                self._closed_until = self._ticks() + self._rest


# --- the call --------------------------------------------------------------------------------------------------------


class Caller:
    """Sends the calls of one connection. Thread-safe."""

    def __init__(
        self,
        vendor: str,
        name_error: ErrorNamer,
        budgets: Mapping[str, Budget],
        *,
        pace: Pace | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        self.vendor = vendor
        self.pace = pace or Pace()
        self._name_error = name_error
        self._budgets = budgets
        self._turns = Turns()
        self._breaker = breaker or Breaker(ticks=self.pace.ticks)

    def __call__(
        self,
        operation: str,
        send: Callable[[float], T],
        *,
        repeatable: bool,
        spend: Sequence[str] = ("calls",),
        failures: list[VendorError] | None = None,
        begin_by: float | None = None,
    ) -> T:
        """What `send` returns. `send` is given the seconds it may take.

        `spend` names the budgets one try costs, the narrowest last. `failures` collects every failed try. No try begins
        after `begin_by` (by the pace's ticks), for calls whose ground holds no longer.
        Raises VendorError subclasses only. Once a try may have reached the vendor, a later "nothing happened" is
        raised as Unknown: it says nothing about the earlier try.
        """
        failed = failures if failures is not None else []
        end = self.pace.ticks() + self.pace.patience.whole
        last = end if begin_by is None else min(end, begin_by)
        if wait := self._breaker.gate():
            raise RetryLater(self.vendor, operation, "the vendor does not answer; calls rest for a while", after=wait)

        def may_be_tried_again(error: BaseException) -> bool:
            return isinstance(error, RetryLater) and (repeatable or not isinstance(error, Unknown))

        def enough(state: RetryCallState) -> bool:
            wished = state.upcoming_sleep
            return (
                state.attempt_number >= self.pace.patience.tries
                or wished > self.pace.patience.longest_wait
                or self.pace.ticks() + wished >= last
                or self.pace.stop.is_set()
            )

        retrying = Retrying(
            retry=retry_if_exception(may_be_tried_again),
            stop=enough,
            wait=self._wait,
            sleep=self.pace.wait,
            reraise=True,
        )
        try:
            answer: T = retrying(self._try, operation, send, tuple(spend), last, end, failed)
        except VendorError as last:
            error = last
        else:
            self._breaker.heard(alive=True)
            return answer
        if failed and failed[-1] is error:  # not when our own budget or our own end kept the call back
            self._breaker.heard(alive=error.status is not None and error.status < 500)
        if type(error) is RetryLater and any(isinstance(one, Unknown) for one in failed):
            error = Unknown(self.vendor, operation, error.problem, status=error.status, after=error.after)
        raise error

    def _wait(self, state: RetryCallState) -> float:
        """Full jitter, or the vendor's own wish with a little on top, so that workers do not come back at once."""
        patience = self.pace.patience
        drawn = wait_random_exponential(multiplier=patience.first_wait, max=patience.longest_wait)(state)
        error = state.outcome.exception() if state.outcome else None
        wish = error.after if isinstance(error, RetryLater) else None
        return drawn if wish is None else wish + min(drawn, wish / 10)

    def _try(
        self,
        operation: str,
        send: Callable[[float], T],
        spend: tuple[str, ...],
        last: float,
        end: float,
        failed: list[VendorError],
    ) -> T:
        with self._places(operation, spend, last):
            error: VendorError
            try:
                answer = send(max(0.01, min(self.pace.patience.answer, end - self.pace.ticks())))
            except VendorError as ours:
                error = ours
            except Exception as theirs:
                named = self._name_error(operation, theirs)
                if named is None:
                    raise
                error = named
            else:
                metrics.VENDOR_CALLS.add(vendor=self.vendor, operation=operation, outcome="ok")
                return answer
        # Outside the handler, so that the SDK's exception, which may hold addresses, does not ride along (G26, G27).
        _mask(error)
        failed.append(error)
        outcome = _outcome(error)
        metrics.VENDOR_CALLS.add(vendor=self.vendor, operation=operation, outcome=outcome)
        log.debug("vendor call failed", vendor=self.vendor, operation=operation, outcome=outcome, status=error.status)
        if isinstance(error, RetryLater) and error.status == 429 and error.after:
            self._budgets[spend[-1]].hold(error.after)
        raise error

    @contextmanager
    def _places(self, operation: str, spend: tuple[str, ...], last: float) -> Iterator[None]:
        """One place in every budget until `last`, given back in the end."""
        taken: list[Budget] = []
        try:
            with self._turns.turn(operation, last - self.pace.ticks()):
                for name in spend:
                    budget = self._budgets[name]
                    while wait := budget.take(max(0.0, last - self.pace.ticks())):
                        if self.pace.stop.is_set() or self.pace.ticks() + wait >= last:
                            raise RetryLater(self.vendor, operation, f"no room in the budget of {name}", after=wait)
                        self.pace.wait(wait)
                    taken.append(budget)
            if self.pace.stop.is_set():
                raise RetryLater(self.vendor, operation, "leadbridge is stopping")
            if self.pace.ticks() > last:
                raise RetryLater(self.vendor, operation, "not begun in time")
            yield
        finally:
            for budget in taken:
                budget.give_back()


def _outcome(error: VendorError) -> str:
    for kind, word in (
        (Unknown, "unknown"),
        (RetryLater, "retry_later"),
        (RecordRefused, "record_refused"),
        (FeatureMissing, "feature_missing"),
    ):
        if isinstance(error, kind):
            return word
    return "needs_operator"


def masked(text: str) -> str:
    """A vendor's words fit to be kept and shown: one line, no secret, no address, not endless."""
    found = logs.mask(" ".join(text.split()))
    return found if len(found) <= LONGEST_PROBLEM else found[: LONGEST_PROBLEM - 1] + "…"


def _mask(error: VendorError) -> None:
    error.problem = masked(error.problem)
    error.args = tuple(masked(str(one)) for one in error.args)


# --- what both SDKs' transports have in common -----------------------------------------------------------------------


def transport_error(vendor: str, operation: str, error: Exception) -> VendorError | None:
    """The name of a failure below HTTP, or None when it is none."""
    if isinstance(error, Garbled):
        return Unknown(vendor, operation, str(error))
    if isinstance(error, TooSlow | TooLong):
        return Unknown(vendor, operation, "the answer is too slow or too long")
    if not isinstance(error, urllib3.exceptions.HTTPError | OSError):  # requests' exceptions are OSErrors
        return None
    chain = tuple(_chain(error))
    if any(isinstance(one, InsideAddress) for one in chain):
        cure = "if it is meant, name that address in base_url"
        return NeedsOperator(vendor, operation, f"the vendor's name leads to an address not on the internet; {cure}")
    if any(isinstance(one, NewConnectionError | ConnectTimeoutError) for one in chain):
        return RetryLater(vendor, operation, "no connection: refused, too slow, or the name is not known")
    if any(isinstance(one, ssl.SSLCertVerificationError) for one in chain):
        return NeedsOperator(vendor, operation, "the server's certificate is not trusted; check base_url and the proxy")
    return Unknown(vendor, operation, f"no answer ({type(error).__name__})")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it wraps: as cause, as context, as `reason` (urllib3) or as argument (requests)."""
    todo: list[BaseException] = [error]
    seen: set[int] = set()
    while todo:
        one = todo.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = (one.__cause__, one.__context__, getattr(one, "reason", None), *one.args)
        todo += [other for other in inner if isinstance(other, BaseException)]


def read_within(response: urllib3.BaseHTTPResponse, seconds: float) -> bytes:
    """The whole body, read within so many seconds although it may come byte by byte.

    Raises TooSlow, TooLong, and urllib3's errors for a connection that is cut.
    """
    end = time.monotonic() + seconds
    parts: list[bytes] = []
    size = 0
    while part := response.read1(65536, decode_content=True):
        parts.append(part)
        size += len(part)
        if size > MOST_BYTES:
            response.close()
            raise TooLong
        if time.monotonic() > end:
            response.close()
            raise TooSlow
    response.release_conn()
    return b"".join(parts)


def retry_after(headers: Mapping[str, str] | None) -> float | None:
    """Seconds of a Retry-After header, in either of its spellings; None when there is none that can be read."""
    text = next((value for name, value in (headers or {}).items() if name.lower() == "retry-after"), "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(text) - clock.now()).total_seconds()
        except (TypeError, ValueError):
            return None
    return seconds if 0 <= seconds <= 7 * 86400 else None

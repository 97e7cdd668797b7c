"""Carries webhook deliveries out of the stand-in: signed, retried, in the background (vendor page, 11)."""

import hashlib
import heapq
import hmac
import http.client
import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from leadbridge.sandbox.mailchimp.settings import Settings
from leadbridge.sandbox.world import World

FORM = "application/x-www-form-urlencoded"
USER_AGENT = "MailChimp"
GONE = 410
CLOCK_GLANCE = 0.05  # seconds between looks at a clock that may be advanced


def call(
    method: str, url: str, deadline: float, body: bytes | None = None, headers: dict[str, str] | None = None
) -> int:
    """One HTTP request; its status, or 0 when nobody answered in time. Follows no redirects."""
    try:
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=deadline)
    except ValueError:  # not an address at all
        return 0
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(method, target, body, {"User-Agent": USER_AGENT, **(headers or {})})
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        return 0
    else:
        return answer.status
    finally:
        connection.close()


def signature(secret: str, at: int, body: bytes) -> str:
    """``t=…,v1=…``: HMAC-SHA256 over the second, a full stop, and the exact bytes of the body."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


@dataclass(frozen=True, slots=True)
class Parcel:
    """One delivery to one address. ``gone`` is called when the receiver answers 410."""

    url: str
    fields: tuple[tuple[str, str], ...]
    secret: str | None
    gone: Callable[[], None] = field(compare=False)
    attempt: int = 0

    def again(self) -> "Parcel":
        return Parcel(self.url, self.fields, self.secret, self.gone, self.attempt + 1)


class Courier:
    """A queue and one thread that empties it. The thread starts with the first parcel.

    Waiting between attempts goes by `Clock.ticks`: advancing the sandbox's clock brings the next attempt.
    """

    def __init__(self, world: World, settings: Settings) -> None:
        self._world = world
        self._settings = settings
        self._queue: list[tuple[float, int, Parcel]] = []
        self._ticks = world.clock.ticks
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._busy = False
        self._thread: threading.Thread | None = None
        self._closed = False

    def send(self, parcel: Parcel, after: float = 0.0) -> None:
        with self._changed:
            heapq.heappush(self._queue, (self._ticks() + after, next(self._order), parcel))
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="mailchimp-webhooks", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def settle(self, timeout: float = 5.0) -> bool:
        """Wait until nothing is being sent and nothing is due now; False when that takes longer than ``timeout``."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while self._busy or (self._queue and self._queue[0][0] <= self._ticks()):
                if not self._changed.wait(max(0.0, min(0.05, deadline - time.monotonic()))) and (
                    time.monotonic() >= deadline
                ):
                    return False
        return True

    def waiting(self) -> int:
        """Deliveries not yet made, retries included."""
        with self._changed:
            return len(self._queue) + self._busy

    def close(self) -> None:
        """Forget what is left and let the thread end."""
        with self._changed:
            self._closed = True
            self._queue.clear()
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=self._settings.webhook_deadline)

    def _run(self) -> None:
        while (parcel := self._next()) is not None:
            try:
                self._deliver(parcel)
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()

    def _next(self) -> Parcel | None:
        with self._changed:
            while not self._closed:
                if self._queue and self._queue[0][0] <= self._ticks():
                    self._busy = True
                    return heapq.heappop(self._queue)[2]
                self._changed.wait(CLOCK_GLANCE if self._queue else None)
            return None

    def _deliver(self, parcel: Parcel) -> None:
        body = urlencode(parcel.fields).encode()
        headers = {"Content-Type": FORM}
        if parcel.secret:  # each attempt is signed anew: receivers refuse a signature older than 300 s
            headers["X-Mailchimp-Signature"] = signature(parcel.secret, int(self._world.clock.now().timestamp()), body)
        status = call("POST", parcel.url, self._settings.webhook_deadline, body, headers)
        self._world.journal.record(
            vendor="mailchimp", operation="webhook.delivery", method="POST", path=parcel.url, status=status
        )
        if status == GONE:
            parcel.gone()
        elif not 200 <= status < 300 and parcel.attempt < len(self._settings.webhook_retries):
            self.send(parcel.again(), after=self._settings.webhook_retries[parcel.attempt])

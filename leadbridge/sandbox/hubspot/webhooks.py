"""Webhooks as HubSpot sends them: batches, both signatures, repeats until a 2xx (vendor page, sections 10 and 11)."""

import hashlib
import hmac
import http.client
import json
import random
import re
import threading
from base64 import b64encode
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from leadbridge.sandbox.hubspot.answers import to_ms
from leadbridge.sandbox.hubspot.journal import Journal
from leadbridge.sandbox.hubspot.kinds import Kind
from leadbridge.sandbox.hubspot.settings import Settings
from leadbridge.sandbox.hubspot.store import Act
from leadbridge.sandbox.world import World

_UNWATCHED = {"num_unique_conversion_events", "hs_lastmodifieddate", "lastmodifieddate"}  # not subscribable
_DECODED = re.compile("%(3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)", re.IGNORECASE)
_USER_AGENT = "HubSpot Connect 2.0 (http://dev.hubspot.com/) (namespace: webhooks-nio-http-client)"
DEVELOPER_KEY = "sandbox-hubspot-developer-key"
_KEPT = 100_000  # events that wait while no target is set


def useful_subscriptions() -> list[str]:
    """The "useful set" of section 10.1; a property change is written ``contact.propertyChange:jobtitle``."""
    contact = "email jobtitle lifecyclestage hs_lead_status hubspot_owner_id hs_email_optout country industry"
    company = "industry numberofemployees annualrevenue"
    return [
        *(f"contact.{t}" for t in "creation deletion privacyDeletion merge restore associationChange".split()),  # noqa: SIM905
        *(f"contact.propertyChange:{name}" for name in [*contact.split(), "annualrevenue", "numemployees"]),
        "company.merge",
        "company.deletion",
        *(f"company.propertyChange:{name}" for name in company.split()),
        "deal.creation",
        "deal.propertyChange:dealstage",
    ]


def signed_uri(uri: str) -> str:
    """The address as signature v3 wants it: only these escapes are undone (section 11, rule 3)."""
    return _DECODED.sub(lambda escape: chr(int(escape[1], 16)), uri)


def sign_v1(secret: str, body: bytes) -> str:
    return hashlib.sha256(secret.encode() + body).hexdigest()


def sign_v2(secret: str, method: str, uri: str, body: bytes) -> str:
    return hashlib.sha256(f"{secret}{method}{uri}".encode() + body).hexdigest()


def sign_v3(secret: str, method: str, uri: str, body: bytes, timestamp: int) -> str:
    source = f"{method}{signed_uri(uri)}".encode() + body + str(timestamp).encode()
    return b64encode(hmac.new(secret.encode(), source, hashlib.sha256).digest()).decode()


@dataclass(slots=True)
class Waiting:
    """One event on its way; ``attempt`` counts the deliveries that failed."""

    event: dict[str, Any]
    attempt: int = 0
    due: float = 0.0


@dataclass(slots=True)
class Subscription:
    """What the app watches."""

    id: int
    event: str  # "contact.propertyChange"
    of: str  # the property, where it is about one
    active: bool = True
    made: str = "2026-01-05T09:00:00.000Z"


@dataclass(slots=True)
class Tally:
    """What became of one round of deliveries."""

    requests: int = 0
    delivered: int = 0
    failed: int = 0
    lost: int = 0

    def as_json(self) -> dict[str, int]:
        return {"requests": self.requests, "delivered": self.delivered, "failed": self.failed, "lost": self.lost}


@dataclass(frozen=True, slots=True)
class _Target:
    url: str
    secret: str


class Webhooks:
    """Collects events at once and delivers them in the background while a target is set."""

    def __init__(self, world: World, settings: Settings, portal_id: int, secret: str, app_id: int = 54321) -> None:
        self._world = world
        self._settings = settings
        self._portal_id = portal_id
        self._secret = secret
        self.app_id = app_id
        self.developer_key = DEVELOPER_KEY
        self.said_target: dict[str, Any] | None = None  # as the API was told; deliveries go where `set_target` says
        self._waiting: deque[Waiting] = deque(maxlen=_KEPT)
        self._changed = threading.Condition()
        self._target: _Target | None = None
        self._threads: list[threading.Thread] = []
        self._in_flight = 0
        self._events = 0
        self._random = random.Random(11)
        self.subscriptions: dict[str, Subscription] = {}
        self.journal = Journal(world, settings, portal_id)
        self.subscribe(useful_subscriptions())

    def subscribe(self, subscriptions: Sequence[str]) -> None:
        """Watch exactly these: ``contact.creation``, ``contact.propertyChange:jobtitle``."""
        self.subscriptions = {}
        for name in subscriptions:
            event, _, of = name.partition(":")
            self.add_subscription(event, of)

    def add_subscription(self, event: str, of: str = "", *, active: bool = True) -> Subscription:
        name = f"{event}:{of}" if of else event
        self.subscriptions[name] = made = Subscription(2_740_110 + len(self.subscriptions), event, of, active)
        return made

    def set_target(self, url: str | None, secret: str | None = None) -> None:
        """Deliver to this address from now on, also what waits already; None ends deliveries."""
        with self._changed:
            self._target = _Target(url, secret or self._secret) if url else None
            if self._target and not self._threads:
                self._threads = [
                    threading.Thread(target=self._work, daemon=True) for _ in range(self._settings.webhook_concurrency)
                ]
                for thread in self._threads:
                    thread.start()
            elif self._target is None:
                self._threads = []  # each ends when it sees that it is no longer wanted
            self._changed.notify_all()

    def emit(self, act: Act, kind: Kind, what: str, **detail: Any) -> None:
        """Something happened; told if subscribed. Seeding is never told."""
        if act.silent:
            return
        self.journal.note(act, kind, what, detail)
        name = f"{kind.singular}.{what}"
        prop = detail.get("propertyName")
        subscription = self.subscriptions.get(f"{name}:{prop}" if prop else name)
        if subscription is None or not subscription.active or prop in _UNWATCHED:
            return
        with self._changed:
            self._events += 1
            event = {
                "eventId": 3_181_526_000 + self._events,
                "subscriptionId": subscription.id,
                "portalId": self._portal_id,
                "appId": self.app_id,
                "occurredAt": act.at_ms,
                "subscriptionType": name,
                "attemptNumber": 0,
                "changeSource": act.source,
                "sourceId": act.source_id,
                **detail,
            }
            due = self._world.clock.ticks() + self._settings.webhook_gather_seconds
            self._waiting.append(Waiting(event, due=due))
            every = self._settings.webhook_duplicate_every
            if every and self._events % every == 0:
                self._waiting.append(Waiting(event, due=due))
            self._changed.notify()

    def deliver(self) -> Tally:
        """Try everything that waits, once, now and in this thread."""
        tally = Tally()
        with self._changed:
            target, todo = self._target, list(self._waiting)
            if target is None:
                return tally
            self._waiting.clear()
        self._mix(todo)
        size = self._settings.webhook_batch
        for start in range(0, len(todo), size):
            self._send(target, todo[start : start + size], tally)
        return tally

    def waiting(self) -> int:
        """Events not yet accepted by the receiver, those in flight included."""
        with self._changed:
            return len(self._waiting) + self._in_flight

    def snapshot(self) -> tuple[list[Waiting], int]:
        with self._changed:
            return [Waiting(w.event, w.attempt, w.due) for w in self._waiting], self._events

    def restore(self, snapshot: tuple[list[Waiting], int]) -> None:
        with self._changed:
            waiting, self._events = snapshot
            self._waiting = deque((Waiting(w.event, w.attempt, w.due) for w in waiting), maxlen=_KEPT)
            self._changed.notify_all()

    def _work(self) -> None:
        me = threading.current_thread()
        while True:
            with self._changed:
                batch, wait = self._take()
                while not batch:
                    if me not in self._threads:
                        return
                    self._changed.wait(wait)
                    batch, wait = self._take()
                target = self._target
                self._in_flight += len(batch)
            try:
                if target is not None:
                    self._send(target, batch, Tally())
            finally:
                with self._changed:
                    self._in_flight -= len(batch)

    def _take(self) -> tuple[list[Waiting], float | None]:
        """The next batch of due events, or how long to wait for one. The caller holds the lock."""
        if self._target is None or not self._waiting:
            return [], None
        now = self._world.clock.ticks()
        due: list[Waiting] = []
        later: list[Waiting] = []
        while self._waiting and len(due) < self._settings.webhook_batch:
            waiting = self._waiting.popleft()
            (due if waiting.due <= now else later).append(waiting)
        self._waiting.extendleft(reversed(later))
        if not due:
            # An advanced clock makes events due early, so look again soon.
            return [], min(0.2, min(w.due for w in later) - now)
        self._mix(due)
        return due, None

    def _mix(self, events: list[Waiting]) -> None:
        if self._settings.webhook_reorder:
            self._random.shuffle(events)

    def _send(self, target: _Target, batch: list[Waiting], tally: Tally) -> None:
        status = self._post(target, batch)
        tally.requests += 1
        if 200 <= status < 300:
            tally.delivered += len(batch)
            return
        tally.failed += len(batch)
        with self._changed:
            for waiting in batch:
                waiting.attempt += 1
                if waiting.attempt >= self._settings.webhook_tries:
                    tally.lost += 1
                    continue
                waiting.due = self._world.clock.ticks() + waiting.attempt * self._settings.webhook_retry_seconds
                self._waiting.append(waiting)
            self._changed.notify()

    def _post(self, target: _Target, batch: Sequence[Waiting]) -> int:
        """One delivery; the receiver's status, or 0 for no answer in time. Signed anew on each try."""
        body = json.dumps(
            [{**w.event, "attemptNumber": w.attempt} for w in batch], ensure_ascii=False, separators=(",", ":")
        ).encode()
        at = datetime.now(UTC) if self._settings.webhook_wall_time else self._world.clock.now()
        timestamp = to_ms(at)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": _USER_AGENT,
            "X-HubSpot-Signature": sign_v1(target.secret, body),
            "X-HubSpot-Signature-Version": "v1",
            "X-HubSpot-Signature-v3": sign_v3(target.secret, "POST", target.url, body, timestamp),
            "X-HubSpot-Request-Timestamp": str(timestamp),
        }
        status = post(target.url, body, headers, self._settings.webhook_timeout)
        self._world.journal.record(
            vendor="hubspot",
            operation="webhook.delivery",
            method="POST",
            path=target.url,
            status=status,
            items=len(batch),
        )
        return status


def post(url: str, body: bytes, headers: dict[str, str], seconds: float) -> int:
    """The status a receiver answers, or 0 when it does not."""
    parts = urlsplit(url)
    make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = make(parts.hostname or "", parts.port, timeout=seconds)
    try:
        connection.request("POST", f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}", body, headers)
        with connection.getresponse() as response:
            response.read()
            return response.status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()

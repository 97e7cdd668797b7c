"""What the org sends out: Outbound Messages until acknowledged, and signed callouts once (vendor page, 6.2 and 6.3)."""

import hashlib
import hmac
import http.client
import json
import random
import re
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from leadbridge.sandbox.salesforce import ids
from leadbridge.sandbox.salesforce.settings import Settings
from leadbridge.sandbox.salesforce.store import INTEGRATION_USER, ORG_ID, Act, Store
from leadbridge.sandbox.world import World

_ACK = re.compile(rb"<(?:\w+:)?Ack(?:\s[^>]*)?>\s*true\s*</(?:\w+:)?Ack>")
_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
_KEPT = 100_000  # notifications that wait while no target is set
_LONGEST_GAP = 7_200.0


@dataclass(frozen=True, slots=True)
class Rule:
    """What an admin set up: on which object, and which fields travel. ``Id`` always does."""

    kind: str
    fields: tuple[str, ...]
    own_writes: bool  # whether saves of the integration user fire too


@dataclass(frozen=True, slots=True)
class Notification:
    """One message on its way; it names a record, and carries that record as it is when it is sent."""

    id: str
    kind: str
    record_id: str
    born: float  # in ticks of the clock
    due: float
    attempt: int = 0


@dataclass(slots=True)
class Tally:
    """What became of one round of deliveries."""

    requests: int = 0
    acknowledged: int = 0
    failed: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Callout:
    url: str
    secret: str
    kind: Literal["apex", "flow"]
    header: str


class Messages:
    """Collects notifications as rows are saved, and delivers them in the background while a target is set."""

    def __init__(self, world: World, store: Store, settings: Settings) -> None:
        self._world = world
        self._store = store
        self._settings = settings
        self._rules: dict[str, Rule] = {}
        self._waiting: deque[Notification] = deque(maxlen=_KEPT)
        self._callouts: deque[tuple[str, str]] = deque(maxlen=_KEPT)
        self._target: str | None = None
        self._callout: Callout | None = None
        self._changed = threading.Condition()
        self._in_flight = 0
        self._thread: threading.Thread | None = None
        self._numbers = 0
        self._random = random.Random(11)

    # Set-up

    def watch(self, kind: str, fields: Sequence[str], *, own_writes: bool = False) -> None:
        with self._changed:
            self._rules[kind] = Rule(kind, tuple(fields), own_writes)

    def set_target(self, url: str | None, *, background: bool = True) -> None:
        with self._changed:
            self._target = url
            self._wake(background)

    def set_callout(self, callout: Callout | None, *, background: bool = True) -> None:
        with self._changed:
            self._callout = callout
            self._wake(background)

    def _wake(self, background: bool) -> None:
        if background and (self._target or self._callout):
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()
        elif not (self._target or self._callout):
            self._thread = None  # it ends when it sees that it is no longer wanted
        self._changed.notify_all()

    def saved(self, act: Act) -> None:
        """Rows were saved: whatever is watched will be told. Seeding is never told."""
        if act.silent or not act.saved:
            return
        with self._changed:
            now = self._world.clock.ticks()
            for kind, record_id in dict.fromkeys(act.saved):
                rule = self._rules.get(kind)
                if rule is None or (act.user_id == INTEGRATION_USER and not rule.own_writes):
                    continue
                self._numbers += 1
                note = Notification(ids.make("04l", self._numbers), kind, record_id, now, now)
                self._waiting.append(note)
                every = self._settings.outbound_duplicate_every
                if every and self._numbers % every == 0:
                    self._waiting.append(note)
                if self._callout is not None:
                    self._callouts.append((kind, record_id))
            self._changed.notify()

    # Delivery

    def deliver(self) -> Tally:
        """Try everything that waits, once, now and in this thread, due or not."""
        with self._changed:
            todo = list(self._waiting) if self._target else []
            if self._target:
                self._waiting.clear()
        tally = self._send_all(todo)
        self._call_out()
        return tally

    def waiting(self) -> int:
        """Notifications not yet acknowledged, those in flight included."""
        with self._changed:
            return len(self._waiting) + self._in_flight

    def _work(self) -> None:
        me = threading.current_thread()
        while True:
            with self._changed:
                if self._thread is not me:
                    return
                now = self._world.clock.ticks()
                due = [one for one in self._waiting if one.due <= now] if self._target else []
                if not due and not (self._callouts and self._callout):
                    self._changed.wait(0.05 if self._waiting else None)
                    continue
                for one in due:
                    self._waiting.remove(one)
                self._in_flight += len(due)
            try:
                self._send_all(due)
                self._call_out()
            finally:
                with self._changed:
                    self._in_flight -= len(due)

    def _send_all(self, todo: list[Notification]) -> Tally:
        tally = Tally()
        if self._settings.outbound_reorder:
            self._random.shuffle(todo)
        for kind in dict.fromkeys(one.kind for one in todo):
            alike = [one for one in todo if one.kind == kind]
            size = self._settings.outbound_batch
            for start in range(0, len(alike), size):
                self._send(kind, alike[start : start + size], tally)
        return tally

    def _send(self, kind: str, batch: list[Notification], tally: Tally) -> None:
        body, shown = self._envelope(kind, batch)
        target = self._target
        if not shown or target is None:
            return  # records deleted meanwhile are not sent
        headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""'}
        status, answer = post(target, body, headers, self._settings.outbound_timeout)
        acknowledged = status == 200 and _ACK.search(answer) is not None
        self._world.journal.record(
            vendor="salesforce",
            operation="outbound.delivery",
            method="POST",
            path=target,
            status=status,
            items=shown,
        )
        tally.requests += 1
        if acknowledged:
            tally.acknowledged += len(batch)
            return
        tally.failed += len(batch)
        with self._changed:
            now = self._world.clock.ticks()
            for one in batch:
                if now - one.born >= self._settings.outbound_hours * 3_600:
                    tally.dropped += 1
                    continue
                gap = min(_LONGEST_GAP, (one.attempt + 1) * self._settings.outbound_retry_seconds)
                self._waiting.append(replace(one, attempt=one.attempt + 1, due=now + gap))

    def _envelope(self, kind: str, batch: Sequence[Notification]) -> tuple[bytes, int]:
        """The message with the records as they are now, and how many it holds."""
        parts: list[str] = []
        with self._store.lock:
            fields = ("Id", *(name for name in self._rules[kind].fields if name != "Id"))
            for one in batch:
                row = self._store.state.rows[kind].get(one.record_id)
                if row is None or row.deleted_at is not None:
                    continue
                cells = "".join(_cell(name, row.get(name)) for name in fields)
                parts.append(
                    f'<Notification><Id>{one.id}</Id><sObject xsi:type="sf:{kind}" '
                    f'xmlns:sf="urn:sobject.enterprise.soap.sforce.com">{cells}</sObject></Notification>'
                )
        org = self._settings.outbound_org_id or ORG_ID
        host = "https://acme.my.salesforce.com/services/Soap"
        text = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<soapenv:Envelope xmlns:soapenv="{_SOAP}" '
            'xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
            '<soapenv:Body><notifications xmlns="http://soap.sforce.com/2005/09/outbound">'
            f"<OrganizationId>{org}</OrganizationId><ActionId>{ids.make('04k', 1)}</ActionId>"
            f'<SessionId xsi:nil="true"/><EnterpriseUrl>{host}/c/65.0/{org[:15]}</EnterpriseUrl>'
            f"<PartnerUrl>{host}/u/65.0/{org[:15]}</PartnerUrl>{''.join(parts)}"
            "</notifications></soapenv:Body></soapenv:Envelope>"
        )
        return text.encode(), len(parts)

    def _call_out(self) -> None:
        """One signed call for what gathered; no retry, as Apex and Flow have none of their own."""
        with self._changed:
            callout, records = self._callout, list(dict.fromkeys(self._callouts))
            self._callouts.clear()
        if callout is None:
            return
        for kind in dict.fromkeys(kind for kind, _ in records):
            alike = [{"type": kind, "id": record_id} for name, record_id in records if name == kind]
            at = datetime.now(UTC) if self._settings.callout_wall_time else self._world.clock.now()
            sent = at.strftime("%Y-%m-%dT%H:%M:%SZ")
            content = {"orgId": ORG_ID, "event": f"{kind.lower()}.changed", "sentAt": sent, "records": alike}
            body = json.dumps(content, separators=(",", ":")).encode()
            status, _ = post(
                callout.url, body, signed(callout, body, int(at.timestamp())), self._settings.outbound_timeout
            )
            self._world.journal.record(
                vendor="salesforce",
                operation="callout.delivery",
                method="POST",
                path=callout.url,
                status=status,
                items=len(alike),
            )

    def snapshot(self) -> tuple[list[Notification], int, dict[str, Rule]]:
        with self._changed:
            return list(self._waiting), self._numbers, dict(self._rules)

    def restore(self, snapshot: tuple[list[Notification], int, dict[str, Rule]]) -> None:
        with self._changed:
            waiting, self._numbers, rules = snapshot
            self._waiting, self._rules = deque(waiting, maxlen=_KEPT), dict(rules)
            self._callouts.clear()
            self._changed.notify_all()


def signed(callout: Callout, body: bytes, timestamp: int) -> dict[str, str]:
    """The headers of a callout: an HMAC from Apex; from Flow, which cannot compute one, the secret itself."""
    headers = {"Content-Type": "application/json"}
    if callout.kind == "flow":
        return headers | {callout.header: callout.secret}
    seal = hmac.new(callout.secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return headers | {"X-Leadbridge-Timestamp": str(timestamp), "X-Leadbridge-Signature": f"v1={seal}"}


def post(url: str, body: bytes, headers: dict[str, str], seconds: float) -> tuple[int, bytes]:
    """The status and the body a receiver answers; 0 when it does not."""
    parts = urlsplit(url)
    make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = make(parts.hostname or "", parts.port, timeout=seconds)
    try:
        connection.request("POST", f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}", body, headers)
        with connection.getresponse() as response:
            return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def _cell(name: str, value: object) -> str:
    if value is None:
        return ""  # an empty field is left out
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"<sf:{name}>{escape(text)}</sf:{name}>"

"""A real server on loopback over a real store, and a client that signs as the vendors do."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
import sqlalchemy as sa

from leadbridge import metrics
from leadbridge.config.schema import Config
from leadbridge.store.engine import Store
from leadbridge.store.tables import inbox, quarantine
from sync import deliveries
from tests.helpers import signers
from tests.helpers.waiting import LONG
from webhooks.app import create_app
from webhooks.serve import SLOWEST, Server, serve

PUBLIC = "https://hooks.acme.example"
HUBSPOT_SECRET = "canary-hubspot-3f9c1d52-8a6e"
HUBSPOT_OLD_SECRET = "canary-hubspot-old-77aa"
MAILCHIMP_PATH = "canary-path-9f3c1e77d0a94c5f8b21"
MAILCHIMP_SIGNING = "canary-signing-5d9a5e3f7b"
AUDIENCE = "a36b032126"
CANARY = "canary"


def settings(**changes: Any) -> dict[str, Any]:
    """A small configuration file with both doors, as read from YAML."""
    return {
        "connections": {
            "hubspot": {
                "token": "canary-token-hubspot",
                "webhook_secret": HUBSPOT_SECRET,
                "webhook_secret_previous": HUBSPOT_OLD_SECRET,
            },
            "mailchimp": {"api_key": "canary-key-us1", "audience": AUDIENCE, "webhook_secret": MAILCHIMP_PATH},
        },
        "scores": {
            "lead": {
                "categories": {"fit": {"max": 100}},
                "rules": [{"name": "vp", "category": "fit", "when": {"email": {"present": True}}, "points": 10}],
            }
        },
        "web": {"public_url": PUBLIC},
        **changes,
    }


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server answered."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def error(self) -> str:
        code: str = json.loads(self.body)["error"]
        return code


@dataclass(slots=True)
class Door:
    """A running server, its store, and what a vendor would do to it."""

    store: Store
    server: Server
    config: Config
    woken: list[float] = field(default_factory=list)

    def ask(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 20,
    ) -> Reply:
        parts = urlsplit(self.server.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
        try:
            connection.request(method, target, body, dict(headers or {}))
            answer = connection.getresponse()
            return Reply(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def hubspot(
        self,
        body: bytes,
        *,
        secret: str = HUBSPOT_SECRET,
        at: int | None = None,
        target: str = "/webhooks/hubspot",
        public: str = PUBLIC,
        headers: Mapping[str, str] | None = None,
        timeout: float = 20,
    ) -> Reply:
        """One delivery as HubSpot makes it; `headers` replaces some after signing, an empty one is left out."""
        at = int(time.time() * 1000) if at is None else at
        sent = signers.hubspot_headers(secret, public + target, body, at) | dict(headers or {})
        return self.ask("POST", target, body, {name: value for name, value in sent.items() if value}, timeout)

    def mailchimp(
        self, fields: Mapping[str, str], *, path: str = MAILCHIMP_PATH, headers: Mapping[str, str] | None = None
    ) -> Reply:
        form = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        return self.ask("POST", f"/webhooks/mailchimp/{path}", urlencode(fields).encode(), form)

    def bodies(self, vendor: str = "hubspot") -> list[dict[str, Any]]:
        """The stored events, opened, oldest first, once the worker has cut what came."""
        deliveries.cut(self.store)
        with self.store.reading() as tx:
            rows = tx.execute(sa.select(inbox).where(inbox.c.vendor == vendor).order_by(inbox.c.id)).all()
        opened = [self.store.vault.open(row.body, f"inbox:{vendor}:{row.delivery_key}") for row in rows]
        return [json.loads(body) for body in opened]

    def count(self) -> int:
        """How many events are stored."""
        deliveries.cut(self.store)
        with self.store.reading() as tx:
            return tx.scalar(sa.select(sa.func.count()).select_from(inbox)) or 0

    def quarantined(self) -> list[tuple[str, str]]:
        """(source, reason) of everything set aside."""
        deliveries.cut(self.store)
        with self.store.reading() as tx:
            query = sa.select(quarantine.c.source, quarantine.c.reason).order_by(quarantine.c.reason)
            return [(row.source, row.reason) for row in tx.execute(query)]


class Seam:
    """A store whose writing can be held back or broken, and that counts transactions."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.vault = store.vault
        self.reading = store.reading
        self.is_current = store.is_current
        self.free_space = store.free_space
        self.go = threading.Event()
        self.go.set()
        self.fault: Exception | None = None
        self.begun = 0

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        self.begun += 1
        assert self.go.wait(LONG)
        if self.fault is not None:
            raise self.fault
        with self._store.writing() as tx:
            yield tx


on_sqlite = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
"""For tests in which the database has no part."""

OpenDoor = Callable[..., Door]


@pytest.fixture
def open_door(store: Store) -> Iterator[OpenDoor]:
    """Start a server over the store: `open_door(web={...}, connections={...}, store=..., portal=...)`."""
    opened: list[Server] = []

    def start(*, over: Any = None, portal: str | None = None, slowest: float = SLOWEST, **changes: Any) -> Door:
        config = Config.model_validate(settings(**changes))
        woken: list[float] = []
        app = create_app(config, over or store, wake=lambda: woken.append(time.monotonic()), portal=lambda: portal)
        server = serve(app, "127.0.0.1", 0, slowest=slowest)
        opened.append(server)
        server.start()
        return Door(store, server, config, woken)

    metrics.reset()
    yield start
    for server in opened:
        server.stop()


@pytest.fixture
def door(open_door: OpenDoor) -> Door:
    return open_door()

"""The door: deliveries of 10 signed HubSpot events, answered once durable, beside the same server answering at once.

The same process serves both: the same routes and habits, once with the way a delivery really takes (proof, limits,
sealing, commit, sync) and once with a view that reads the body and answers 204. Rounds of the two alternate in one run,
driven from this process over kept-alive connections, each of which sends its next delivery when the last is answered.
SQLite lies in a file with `synchronous=FULL`; PostgreSQL is started for this run, on disk, with fsync on.

    python -m benchmarks.webhook [--quick] [--json] [--connections N] [--store sqlite|postgresql]
"""

import base64
import contextlib
import hashlib
import hmac
import json
import logging
import math
import multiprocessing
import os
import selectors
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks import arguments

EVENTS = 10  # in one delivery
BOUNDS = {"sqlite": 0.7, "postgresql": 0.4}
P99_BOUND = 2.0  # of the bare server's
SECRET = "benchmark-secret-of-the-app"  # noqa: S105 - nobody's
KEY = bytes(range(32))
BARE, DOOR = "/bare", "/webhooks/hubspot"


@dataclass(slots=True)
class Round:
    """One stretch of load: answers per second, how long each took, and the server's processor time for each."""

    rate: float
    seconds: list[float]
    busy: float = 0.0


@dataclass(slots=True)
class Side:
    """All rounds against one of the two."""

    rounds: list[Round] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return statistics.median(one.rate for one in self.rounds)

    @property
    def busy(self) -> float:
        """Microseconds of processor time per answer."""
        return 1e6 * statistics.median(one.busy for one in self.rounds)

    def quantile(self, share: float) -> float:
        """Milliseconds under which this share of the answers came, in the median round."""
        return 1000 * statistics.median(_quantile(one.seconds, share) for one in self.rounds)


def _quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


# --- the server, in a process of its own ---------------------------------------------------------------------------


def serve_until_told(store_url: str, pipe: Connection) -> None:
    """Serve both ways over this store; says the port, answers how busy it was, and in the end how many are kept."""
    from flask import Response, request

    from leadbridge.config.schema import Config
    from leadbridge.store import inbox
    from leadbridge.store.engine import open_store
    from webhooks.app import create_app
    from webhooks.serve import serve

    logging.disable(logging.CRITICAL)
    rules = [{"name": "known", "category": "fit", "when": {"email": {"present": True}}, "points": 1}]
    config = Config.model_validate(
        {
            "connections": {"hubspot": {"token": "unused", "webhook_secret": SECRET}},
            "scores": {"lead": {"categories": {"fit": {"max": 100}}, "rules": rules}},
        }
    )
    store = open_store(store_url, key=KEY)
    store.migrate()
    app = create_app(config, store, wake=lambda: None)

    def bare() -> Response:
        request.get_data(cache=False)
        return Response(status=204)

    app.add_url_rule(BARE, "bare", bare, methods=["POST"], provide_automatic_options=False)
    server = serve(app, port=0)
    server.start()
    pipe.send(server.port)
    while pipe.recv() == "how busy":
        pipe.send(time.process_time())
    server.stop()
    with store.reading() as tx:
        pipe.send(inbox.pending(tx))
    store.close()


# --- the load ------------------------------------------------------------------------------------------------------


def deliveries(count: int, target: str, port: int, first: int) -> list[bytes]:
    """Whole requests as HubSpot makes them, signed now, no event of which came before."""
    found = []
    stamp = str(int(time.time() * 1000))
    for number in range(first, first + count):
        events = [
            {
                "eventId": number * EVENTS + part, "subscriptionId": 2740113, "portalId": 62515, "appId": 54321,
                "occurredAt": 1795312799000 + number, "subscriptionType": "contact.propertyChange", "attemptNumber": 0,
                "objectId": 512 + part, "propertyName": "jobtitle", "propertyValue": "Head of Demand Generation",
                "changeFlag": "UPDATED", "changeSource": "CRM_UI", "sourceId": "userId:9586504",
            }
            for part in range(EVENTS)
        ]  # fmt: skip
        body = json.dumps(events, separators=(",", ":")).encode()
        signed = b"POST" + f"http://127.0.0.1:{port}{target}".encode() + body + stamp.encode()
        seal = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
        head = (
            f"POST {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
            f"X-HubSpot-Signature-v3: {seal}\r\nX-HubSpot-Request-Timestamp: {stamp}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        found.append(head.encode() + body)
    return found


def drive(port: int, requests: list[bytes], connections: int) -> Round:
    """Send all requests over so many connections, each waiting for its answer. Raises RuntimeError for any but 204."""
    waiting = iter(requests)
    seconds: list[float] = []
    selector = selectors.DefaultSelector()
    with contextlib.ExitStack() as stack:
        stack.enter_context(selector)
        for request in islice(waiting, connections):
            link = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(link, selectors.EVENT_READ, [0.0, request])
        began = time.perf_counter()
        for key in selector.get_map().values():
            key.data[0] = time.perf_counter()
            key.fileobj.sendall(key.data[1])  # type: ignore[union-attr]
        while selector.get_map():
            for key, _ in selector.select(30):
                link = key.fileobj  # type: ignore[assignment]
                answer = link.recv(65536)
                if not answer.startswith(b"HTTP/1.1 204") or not answer.endswith(b"\r\n\r\n"):
                    raise RuntimeError(f"the server answered {answer[:200]!r}")
                now = time.perf_counter()
                seconds.append(now - key.data[0])
                if (request := next(waiting, b"")) == b"":
                    selector.unregister(link)
                    continue
                key.data[0] = now
                link.sendall(request)
        return Round(len(seconds) / (time.perf_counter() - began), seconds)


def compare(store_url: str, rounds: int, size: int, connections: int) -> dict[str, Any]:
    """Alternate rounds of `size` deliveries; the figures of both sides."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve_until_told, args=(store_url, there))
    process.start()
    port = here.recv()
    sides = {BARE: Side(), DOOR: Side()}
    sent = 0
    try:
        for number in range(rounds + 1):
            for target in (BARE, DOOR) if number % 2 else (DOOR, BARE):
                requests = deliveries(size if number else size // 4, target, port, sent)
                sent += len(requests)
                before = _busy(here)
                found = drive(port, requests, connections)
                found.busy = (_busy(here) - before) / len(requests)
                if number:  # the first warms up
                    sides[target].rounds.append(found)
    finally:
        here.send("stop")
        kept = here.recv()
        process.join(30)
    bare, door = sides[BARE], sides[DOOR]
    acknowledged = EVENTS * (rounds * size + size // 4)
    return {
        "ratio": round(door.rate / bare.rate, 3),
        "p99_ratio": round(door.quantile(0.99) / bare.quantile(0.99), 2),
        "bare_per_second": round(bare.rate),
        "door_per_second": round(door.rate),
        "bare_cpu_us": round(bare.busy),
        "door_cpu_us": round(door.busy),
        "bare_p50_ms": round(bare.quantile(0.5), 1),
        "door_p50_ms": round(door.quantile(0.5), 1),
        "bare_p99_ms": round(bare.quantile(0.99), 1),
        "door_p99_ms": round(door.quantile(0.99), 1),
        "events_acknowledged": acknowledged,
        "events_lost": acknowledged - kept,
    }


def _busy(server: Connection) -> float:
    server.send("how busy")
    seconds: float = server.recv()
    return seconds


@contextlib.contextmanager
def stores(wanted: Sequence[str]) -> Iterator[dict[str, str]]:
    """Addresses of empty stores, gone afterwards."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        if "sqlite" in wanted:
            found["sqlite"] = f"sqlite:///{Path(folder, 'door.db')}"
        if "postgresql" in wanted:
            from psycopg import sql

            from tests.helpers import databases

            server = databases.start(os.getpid(), databases.binaries(), on_disk=True, autovacuum="on")
            server.run(sql.SQL("CREATE DATABASE door"))
            found["postgresql"] = server.url("door")
        yield found


def measure(quick: bool, connections: int, wanted: Sequence[str]) -> dict[str, Any]:
    rounds, size = (5, 1000) if quick else (9, 4000)
    with stores(wanted) as urls:
        details = {name: compare(url, rounds, size, connections) for name, url in urls.items()}
    holds = all(
        found["ratio"] >= BOUNDS[name] and found["p99_ratio"] <= P99_BOUND and found["events_lost"] == 0
        for name, found in details.items()
    )
    first = next(iter(details))
    return {
        "name": "webhook",
        "figure": details[first]["ratio"],
        "unit": "of the same server answering 204 at once",
        "bound": BOUNDS[first],
        "holds": holds,
        "details": {"events_per_delivery": EVENTS, "connections": connections, "p99_bound": P99_BOUND,
                    "bounds": {name: BOUNDS[name] for name in details}, **details},
    }  # fmt: skip


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--connections", type=int, default=32, help="deliveries in flight at once")
    parser.add_argument("--store", choices=sorted(BOUNDS), action="append", help="this store only")
    given = parser.parse_args()
    found = measure(given.quick, given.connections, given.store or ["sqlite", "postgresql"])
    if given.json:
        print(json.dumps(found))
    else:
        details = found.pop("details")
        names = [name for name in BOUNDS if name in details]
        print("\n".join(f"{key:<24}{value}" for key, value in found.items()))
        print(f"\n{'':<24}" + "".join(f"{name:>12}" for name in names))
        for row in details[names[0]]:
            print(f"{row:<24}" + "".join(f"{details[name][row]:>12}" for name in names))
        print("".join([f"{'ratio at least':<24}", *(f"{BOUNDS[name]:>12}" for name in names)]))
    return 0 if found["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())

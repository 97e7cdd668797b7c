"""Nothing lost, nothing done twice: HubSpot's events through real processes that are killed in the middle of them.

A person edits leads in the stand-in CRM; each edit is an event, sent in signed deliveries of 100, some events repeated,
some out of order, a delivery again until it is answered 2xx. Meanwhile the receiver and the workers die by SIGKILL and
are started again. Then three things are compared: what was sent, what the store says, and what the vendors saw.

lost: acknowledged events without a final state. duplicate: journey entries beyond the first. wrong: people whose score
in the CRM is not the one that follows from the CRM, and entries of people who may not be mailed. recover: seconds from
the start of a new process to the first work done after it. uncertain: enrolments left for a human.

Shapes: `embedded` is `leadbridge run` on SQLite, where receiver and worker are one process; `scaled` is `leadbridge
web`, `worker` and `beat` on PostgreSQL and Redis, both started for this run.

    python -m benchmarks.lossless [--quick] [--json] [--shape embedded|scaled] [--events N] [--seed N]
"""

import logging
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL
from typing import Any

from psycopg import sql
from sqlalchemy import func, select

from benchmarks import arguments, tell
from leadbridge import __version__
from leadbridge.config.load import load
from leadbridge.sandbox.hubspot.webhooks import post
from leadbridge.store import enrolments, inbox
from leadbridge.store.tables import inbox as inbox_table
from leadbridge.store.tables import quarantine as quarantine_table
from leadbridge.types import EnrolmentState
from sync.explain import explain
from sync.outlook import Scorer
from tests.helpers import databases
from tests.helpers.queues import Redis
from tests.helpers.scaled import Process, Site, site
from tests.helpers.signers import hubspot_body, hubspot_headers

IN_DELIVERY = 100
REPEATED, SHUFFLED = 0.03, 0.05
RECEIVER_KILLS, WORKER_KILLS = 2, 5
SENDERS = 4
TITLES = ["Assistant", "Chief Marketing Officer", "Manager", "Engineer", "Director"]
UNDER_WAY = (EnrolmentState.WANTED, EnrolmentState.CHECKED, EnrolmentState.CALLING)
PATIENCE = 240.0
"""Seconds after the last delivery within which everything must have come to rest."""


@dataclass(slots=True)
class Sent:
    """What was sent, and what became of it at the door."""

    events: int = 0
    repeats: int = 0
    deliveries: int = 0
    tries: int = 0
    recover: list[float] = field(default_factory=list)


def stories(made: Site, count: int, chance: random.Random) -> Iterator[dict[str, Any]]:
    """Edits of leads by a person, each told as HubSpot tells it. The edit is made when its event is asked for."""
    records = sorted(made.contacts(), key=int)
    portal = made.sandbox.hubspot.portal_id
    for number in range(count):
        record, title = chance.choice(records), chance.choice(TITLES)
        made.sandbox.hubspot.edit_contact(record, {"jobtitle": title})
        yield {
            "eventId": 100_000 + number, "subscriptionId": 2740113, "portalId": portal, "appId": 54321,
            "occurredAt": int(time.time() * 1000), "subscriptionType": "contact.propertyChange", "attemptNumber": 0,
            "objectId": int(record), "propertyName": "jobtitle", "propertyValue": title, "changeSource": "CRM_UI",
            "sourceId": "userId:9586504",
        }  # fmt: skip


def deliveries(made: Site, count: int, chance: random.Random, sent: Sent) -> Iterator[list[dict[str, Any]]]:
    """Deliveries of a hundred events: some told again later, some in the place of another."""
    again: deque[dict[str, Any]] = deque()
    batch: list[dict[str, Any]] = []

    def mixed() -> list[dict[str, Any]]:
        for place in range(len(batch)):
            if chance.random() < SHUFFLED:
                other = chance.randrange(len(batch))
                batch[place], batch[other] = batch[other], batch[place]
        sent.deliveries += 1
        return batch

    for event in stories(made, count, chance):
        sent.events += 1
        batch.append(event)
        if chance.random() < REPEATED:
            again.append(event | {"attemptNumber": 1})
        if again and chance.random() < REPEATED:
            batch.append(again.popleft())
            sent.repeats += 1
        if len(batch) >= IN_DELIVERY:
            yield mixed()
            batch = []
    sent.repeats += len(again)
    batch += again
    if batch:
        yield mixed()


class Shape:
    """The processes of one shape, and how they are killed and started again."""

    def __init__(self, made: Site, scaled: bool) -> None:
        self.made = made
        self.scaled = scaled
        self.url = ""
        self.receiver: Process
        self.worker: Process
        if scaled:
            made.start("beat")
            self.start_worker()
        self.start_receiver()

    def start_receiver(self) -> None:
        self.receiver = self.made.start(*(("web", "--processes", "2") if self.scaled else ("run",)))
        self.url = self.receiver.heard(r"listens on (http\S+)")[1]
        if not self.scaled:
            self.worker = self.receiver

    def start_worker(self) -> None:
        self.worker = self.made.start("worker", "--processes", "2")

    def kill(self, what: str, chance: random.Random) -> None:
        """Kill the receiver or the workers. Of a family of processes all die, or one child whose parent replaces it."""
        process = self.receiver if what == "receiver" else self.worker
        children = process.children() if self.scaled else []
        if children and what == "worker" and chance.random() < 0.5:
            os.kill(chance.choice(children), SIGKILL)
            return
        process.end(SIGKILL)
        for child in children:
            try:
                os.kill(child, SIGKILL)
            except ProcessLookupError:
                continue
        if what == "receiver" or not self.scaled:
            self.start_receiver()
        else:
            self.start_worker()


def send(shape: Shape, work: Iterator[list[dict[str, Any]]], turn: threading.Lock, sent: Sent) -> None:
    """Deliver until nothing is left; what is not answered 2xx is delivered again."""
    secret = shape.made.environ["HUBSPOT_APP_SECRET"]
    while True:
        with turn:
            events = next(work, None)
        if events is None:
            return
        body = hubspot_body(*events)
        while True:
            address = f"{shape.url}/webhooks/hubspot"
            headers = hubspot_headers(secret, address, body, int(time.time() * 1000))
            sent.tries += 1
            if 200 <= post(address, body, headers, 5.0) < 300:
                break
            time.sleep(0.1)


def worked(made: Site) -> tuple[int, int]:
    """Events done, and events or deliveries that wait."""
    with made.store() as store, store.reading() as tx:
        done = tx.execute(select(func.count()).where(inbox_table.c.done_at.is_not(None))).scalar_one()
        return done, inbox.pending(tx)


def strike(shape: Shape, at: Sequence[tuple[float, str]], sent: Sent, events: int, chance: random.Random) -> None:
    """Kill at these shares of the events sent, and measure how long until work is done again."""
    for share, what in at:
        while sent.events < share * events:
            time.sleep(0.01)
        shape.kill(what, chance)
        began, (before, _) = time.monotonic(), worked(shape.made)
        while time.monotonic() - began < PATIENCE:
            done, waiting = worked(shape.made)
            if done > before or not waiting:
                break
            time.sleep(0.05)
        sent.recover.append(time.monotonic() - began)


def wait_for_rest(made: Site) -> bool:
    """Until nothing waits in the store any more; False when that does not come about."""
    deadline = time.monotonic() + PATIENCE
    with made.store() as store:
        while time.monotonic() < deadline:
            with store.reading() as tx:
                ledger = enrolments.counts(tx)
                rest = (
                    inbox.pending(tx) == 0
                    and tx.exec_driver_sql("SELECT count(*) FROM write_backs WHERE state = 'pending'").scalar() == 0
                    and tx.exec_driver_sql("SELECT count(*) FROM due WHERE lane < 2").scalar() == 0
                    and not any(ledger[state] for state in UNDER_WAY)
                )
            if rest:
                return True
            time.sleep(0.2)
    return False


def wrong_scores(made: Site) -> int:
    """People whose score in the CRM is not what the explanation of today gives; decay of a point is not wrong."""
    scorer = Scorer(load(made.file, made.environ))
    wrong = 0
    with made.store() as store:
        for contact in made.contacts().values():
            found = explain(store, scorer, contact["email"])
            shown = contact.get("leadbridge_score")
            wrong += found is None or shown is None or abs(found.as_dict()["scores"][0]["value"] - int(shown)) > 1
    return wrong


def measure(shape_name: str, events: int, people: int, seed: int) -> dict[str, Any]:
    """One run of one shape."""
    chance = random.Random(seed)
    sent = Sent()
    with shop(shape_name, people) as (made, scaled):
        shape = Shape(made, scaled)
        deadline = time.monotonic() + PATIENCE
        while len(made.written()) < people and time.monotonic() < deadline:
            time.sleep(0.1)  # the first pull and what follows from it
        work, turn = deliveries(made, events, random.Random(seed + 1), sent), threading.Lock()
        kills = ["receiver"] * RECEIVER_KILLS + ["worker"] * WORKER_KILLS
        chance.shuffle(kills)
        at = [((number + 0.5) / len(kills) * 0.9, what) for number, what in enumerate(kills)]
        began = time.monotonic()
        threads = [threading.Thread(target=send, args=(shape, work, turn, sent)) for _ in range(SENDERS)]
        for thread in threads:
            thread.start()
        strike(shape, at, sent, events, chance)
        for thread in threads:
            thread.join()
        at_rest = wait_for_rest(made)
        seconds = time.monotonic() - began
        done, _ = worked(made)
        with made.store() as store, store.reading() as tx:
            aside = tx.execute(select(func.count()).select_from(quarantine_table)).scalar_one()
            uncertain = enrolments.counts(tx)[EnrolmentState.UNCERTAIN]
        entered = made.entered()
        found = {
            "lost": max(0, sent.events - done - aside) + (0 if at_rest else 1),
            "duplicate": sum(count - 1 for count in entered.values()),
            "wrong": wrong_scores(made) + made.forbidden(),
            "uncertain": uncertain,
            "recover_p50_s": round(statistics.median(sent.recover), 2),
            "recover_p95_s": round(sorted(sent.recover)[min(len(sent.recover) - 1, int(0.95 * len(sent.recover)))], 2),
            "recover_max_s": round(max(sent.recover), 2),
            "events": sent.events,
            "repeated": sent.repeats,
            "deliveries": sent.deliveries,
            "tries": sent.tries,
            "entered": len(entered),
            "set_aside": aside,
            "seconds": round(seconds, 1),
        }
        for process in (shape.receiver, shape.worker):
            process.end()
    return found


@contextmanager
def shop(shape_name: str, people: int) -> Iterator[tuple[Site, bool]]:
    """Accounts in a sandbox, and a store of the shape's kind. Raises NoPostgres and NoRedis."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lossless-")))
        if shape_name == "embedded":
            yield stack.enter_context(site(folder, f"sqlite:///{folder / 'leadbridge.db'}", None, count=people)), False
            return
        server = databases.start(os.getpid(), databases.binaries())
        server.run(sql.SQL("CREATE DATABASE lossless"))
        redis = Redis(folder)
        stack.callback(redis.close)
        yield stack.enter_context(site(folder, server.url("lossless"), redis.url, count=people)), True


def main() -> int:
    parser = arguments(__doc__, quick="end within a minute: 1,500 events, embedded")
    parser.add_argument("--shape", choices=["embedded", "scaled"], help="one shape only (default: both)")
    parser.add_argument("--events", type=int, help="how many events (default: 10,000)")
    parser.add_argument("--seed", type=int, default=20261128)
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    shapes = [given.shape] if given.shape else ["embedded"] if given.quick else ["embedded", "scaled"]
    events, people = (1_500, 60) if given.quick else (10_000, 300)
    details: dict[str, Any] = {"seed": given.seed, "version": __version__, "trials": 1}
    for name in shapes:
        details[name] = measure(name, given.events or events, people, given.seed)
    figure = sum(details[name][what] for name in shapes for what in ("lost", "duplicate", "wrong"))
    found = {
        "name": "lossless", "figure": figure, "unit": "lost, duplicate or wrong", "bound": 0, "holds": figure == 0,
        "details": details,
    }  # fmt: skip
    return tell(found, given.json)


if __name__ == "__main__":
    sys.exit(main())

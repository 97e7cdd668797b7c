"""Processes that work on a store, and are killed. Run as a program, so that it may fork: one thread, all imported.

Reads one JSON object per line, answers with one. `{"url", "rounds"}`: a writer of batches of ten rows, SIGKILL at a
random moment of each round. `{"url", "statements": [N, ...]}`: migrations, SIGKILL just before the N-th statement.
`{"url", "rotation": [N, ...], "key", "old"}`: rotations of the key, likewise. `{"url", "claimers"}`: so many processes
that claim due people until none is left.
"""

import itertools
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import alembic.command
import sqlalchemy as sa

import leadbridge.store.migrations
from leadbridge.store import due, open_store
from leadbridge.store import rotation as rotating
from leadbridge.store.rows import insert_all
from leadbridge.store.tables import persons
from tests.helpers.databases import KEY
from tests.helpers.store_people import NOW

BATCH = 10
IMPORTED_BEFORE_FORKING = alembic.command


def _write(url: str, mark: str, told: int) -> None:
    store = open_store(url, key=KEY)
    row = {"created_at": NOW, "changed_at": NOW, "email": mark}
    while True:
        with store.writing() as tx:
            for _ in range(BATCH):
                insert_all(tx, persons, [row])
        os.write(told, b".")


def _stored(url: str, mark: str) -> int:
    store = open_store(url, key=KEY)
    with store.reading() as tx:
        found = tx.execute(sa.select(sa.func.count()).where(persons.c.email == mark)).scalar_one()
    store.close()
    return found


def writers(url: str, rounds: int) -> dict[str, int]:
    """How many rounds left rows without their batch, or lost a batch that was acknowledged."""
    seed = random.Random(20261122)
    torn = lost = acknowledged = 0
    for number in range(rounds):
        mark = f"round {number}"
        heard, told = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(heard)
            _write(url, mark, told)
        os.close(told)
        batches = len(os.read(heard, 1))
        time.sleep(seed.uniform(0, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while more := len(os.read(heard, 4096)):
            batches += more
        os.close(heard)
        rows = _stored(url, mark)
        torn += rows % BATCH != 0
        lost += rows < batches * BATCH
        acknowledged += batches
    return {"torn": torn, "lost": lost, "acknowledged": acknowledged}


def _die_at_last(left: Iterator[int], *_: object) -> None:
    if next(left) == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def migrations(url: str, statements: list[int]) -> dict[str, list[str | None]]:
    """Stamp of the store after each killed migration, and after one that was left alone."""
    stamps: list[str | None] = []
    for kill_before in [*statements, 0]:
        child = os.fork()
        if child == 0:
            store = open_store(url, key=KEY)
            left = itertools.count(kill_before - 1, -1)
            sa.event.listen(store._engine, "before_cursor_execute", partial(_die_at_last, left))
            store.migrate()
            os._exit(0)
        os.waitpid(child, 0)
        store = open_store(url, key=KEY)
        with store._readers.begin() as tx:
            stamps.append(leadbridge.store.migrations.stamp(tx))
        store.close()
    return {"stamps": stamps}


def rotations(url: str, rotation: list[int], key: str, old: str) -> dict[str, int]:
    """How many of these rotations to a new key, a row at a time, were killed just before their N-th statement."""
    killed = 0
    for kill_before in rotation:
        child = os.fork()
        if child == 0:
            rotating.AT_ONCE = 1
            store = open_store(url, key=bytes.fromhex(key), also=(bytes.fromhex(old),))
            left = itertools.count(kill_before - 1, -1)
            sa.event.listen(store._engine, "before_cursor_execute", partial(_die_at_last, left))
            rotating.rotate(store, "olga")
            os._exit(0)
        _, status = os.waitpid(child, 0)
        killed += os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    return {"killed": killed}


def claimers(url: str, claimers: int) -> dict[str, list[list[int]]]:
    """The people each process claimed."""
    gate, go = os.pipe()
    started, ready = os.pipe()
    pipes = []
    for number in range(claimers):
        heard, told = os.pipe()
        if os.fork() == 0:
            os.close(go)
            store = open_store(url, key=KEY)
            with store.reading():
                pass
            os.write(ready, b".")
            os.read(gate, 1)  # ends when the parent opens the gate for all
            mine: list[int] = []
            claims: list[due.Claim] | None = None
            while claims is None or claims:
                with store.writing() as tx:
                    claims = due.claim_due(tx, limit=5, owner=f"process {number}")
                mine += [claim.person_id for claim in claims]
                time.sleep(0.005)  # the others' turn
            os.write(told, json.dumps(mine).encode())
            os._exit(0)
        os.close(told)
        pipes.append(heard)
    for _ in range(claimers):
        os.read(started, 1)
    os.close(go)
    claimed = []
    for heard in pipes:
        with os.fdopen(heard) as answer:
            claimed.append(json.loads(answer.read()))
        os.wait()
    for end in (gate, started, ready):
        os.close(end)
    return {"claimed": claimed}


JOBS: dict[str, Callable[..., Any]] = {
    "rounds": writers, "statements": migrations, "claimers": claimers, "rotation": rotations,
}  # fmt: skip

if __name__ == "__main__":
    for line in sys.stdin:
        order = json.loads(line)
        job = next(job for word, job in JOBS.items() if word in order)
        print(json.dumps(job(**order)), flush=True)

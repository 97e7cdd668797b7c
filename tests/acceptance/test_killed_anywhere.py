"""Killed at any moment of the loop and started again, it ends in the state of an undisturbed run (G12, G19, G31).

A round runs in a process of its own, forked from one that has everything imported, and is ended by SIGKILL after a
random time, in the middle of whatever it does. Afterwards the stand-ins, which lived on, and the store are compared
with those of a run that nobody disturbed. Time stands still in both, so that nothing differs by the clock.
"""

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from leadbridge.demo import effects_of
from leadbridge.store import suppressions
from leadbridge.store.engine import open_store
from leadbridge.store.tables import persons
from tests.helpers.loop import Loop, loop
from tests.helpers.storedump import dump

ROUNDS = 50
PEOPLE = 60
SEED = 20261122
ROOT = Path(__file__).parents[2]


class Zygote:
    """See `tests.helpers.zygote`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.zygote"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def begin(self, made: Loop, now: datetime) -> int:
        """Start one round; returns the process that runs it."""
        assert self._process.stdin
        order = {"config": str(made.config), "environ": made.environ, "now": now.isoformat()}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._answer()["pid"])

    def end(self) -> int:
        """Wait for the round; returns its exit code."""
        return int(self._answer()["exit"])

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(10)
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe
            pipe.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, self._process.stderr.read() if self._process.stderr else ""
        found: dict[str, Any] = json.loads(line)
        return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    with loop(tmp_path_factory.mktemp("killed"), "--people", str(PEOPLE), "--seed", "5") as found:
        found.run("apply")
        found.sandbox.post("/settings", {"latency": 0.002})  # so that moments inside a call are hit as well
        found.sandbox.post("/hubspot/settings", {"burst_limit": 0, "search_per_second": 0, "index_delay": 0})
        found.sandbox.post("/snapshot", {})
        yield found


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    found = Zygote()
    yield found
    found.close()


def fresh(made: Loop) -> None:
    """The accounts as at first, and a store that knows nothing."""
    made.sandbox.post("/reset", {})
    for file in made.store_file.parent.glob(f"{made.store_file.name}*"):
        if not file.name.endswith(".key"):
            file.unlink()


def state(made: Loop) -> dict[str, Any]:
    held = dump(f"sqlite:///{made.store_file}")
    return {"vendors": _alike(made.sandbox.get("/dump")), "store": held | {"suppressed": _left(made)}}


def _left(made: Loop) -> dict[str, str]:
    """Who is not to be mailed and why. By the store's own answer: an opt-out read before its person came is found by
    the address, one read after by the person too, and sources are read at the same time."""
    with contextlib.closing(open_store(f"sqlite:///{made.store_file}")) as store, store.reading() as tx:
        found = suppressions.suppressed(tx, store.vault, tx.execute(sa.select(persons.c.id)).scalars().all())
        return {
            " ".join(sorted(suppressions.addresses_of(tx, [person]))): reason.value for person, reason in found.items()
        }


def _alike(held: Any) -> Any:
    """Without what differs between two honest runs: a task's key, drawn at random, and when the vendor made it."""
    if isinstance(held, dict):
        return {name: _alike(value) for name, value in held.items() if name != "hs_createdate"}
    if isinstance(held, list):
        return [_alike(one) for one in held]
    return re.sub(r"leadbridge:[0-9a-f]{16}", "leadbridge:…", held) if isinstance(held, str) else held


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_in_the_same_state(made: Loop, zygote: Zygote) -> None:
    now = datetime.now(UTC)
    lasted: list[float] = []
    for _ in range(2):  # the first finds nothing in the machine's caches
        fresh(made)
        began = time.monotonic()
        zygote.begin(made, now)
        assert zygote.end() == 0
        lasted.append(time.monotonic() - began)
    undisturbed = state(made)
    assert undisturbed["store"]["ledger"]
    assert undisturbed["store"]["suppressed"]

    chosen = random.Random(SEED)
    killed = 0
    for number in range(ROUNDS):
        fresh(made)
        moment = chosen.uniform(0, min(lasted))
        child = zygote.begin(made, now)
        time.sleep(moment)
        with contextlib.suppress(ProcessLookupError):  # it was quicker
            os.kill(child, signal.SIGKILL)
        killed += zygote.end() == -signal.SIGKILL
        zygote.begin(made, now)
        assert zygote.end() == 0, f"round {number}: not done after a kill at {moment:.3f} s"
        entries = Counter(
            (e["journey"], e["email_hash"]) for e in effects_of(made.sandbox.journal(), "journey_entered")
        )
        assert set(entries.values()) == {1}, f"round {number}: entered twice after a kill at {moment:.3f} s"
        after = state(made)
        for part in ("vendors", "store"):
            assert after[part] == undisturbed[part], f"round {number}: {part} differ after a kill at {moment:.3f} s"
    assert killed > ROUNDS * 0.6, f"only {killed} of {ROUNDS} rounds were killed in their middle"

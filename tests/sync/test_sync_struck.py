"""A process that ends or stands still at any step of a contact or a write harms nobody (reliability G18, G19; faults
27 and 29). Real processes, struck at each step they take, one after the other."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leadbridge.store import Store
from leadbridge.types import EnrolmentState
from tests.helpers.syncing import TAG, TRIGGER, Moving, Stage, journey, moving, stage
from tests.helpers.tally import Tally

ROOT = Path(__file__).parents[2]
S = EnrolmentState
EVERY = [pytest.param(7, id="some"), pytest.param(1, id="all", marks=pytest.mark.slow)]
"""Of all steps every seventh in the main suite, and all of them in the long form."""


class Stepped:
    """See `tests.helpers.stepped`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.stepped"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def begin(self, made: Stage, url: str, job: str, name: str, strike: int, by: signal.Signals) -> int:
        """Start the job; returns its process."""
        assert self._process.stdin
        order = {"url": made.sandbox.url, "store": url, "job": job, "journey": name, "now": made.now().isoformat(),
                 "strike": strike, "signal": int(by)}  # fmt: skip
        print(json.dumps(order), file=self._process.stdin, flush=True)
        return int(self._answer()["pid"])

    def end(self) -> tuple[int, int]:
        """Wait for the job: the steps it took, and its exit code."""
        answer = self._answer()
        return answer["steps"], answer["exit"]

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(10)
        assert self._process.stdout
        self._process.stdout.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found


@pytest.fixture(scope="module")
def stepped() -> Iterator[Stepped]:
    found = Stepped()
    yield found
    found.close()


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize("name", [TAG, TRIGGER])
def test_killed_at_any_step_of_an_enrolment_nobody_is_mailed_twice(
    store: Store, store_url: str, stepped: Stepped, name: str, every: int
) -> None:
    """Whoever is found under way is `uncertain`; a tag is settled by the vendor's proof, a bare trigger by nobody."""
    with stage(store, journey(name)) as made, moving(made) as time:
        strike = killed = 0
        while True:
            strike += every
            address = f"lead{strike}@acme.example"
            made.lead(address)
            made.until_enrol()
            stepped.begin(made, store_url, "enrol", name, strike, signal.SIGKILL)
            _, code = stepped.end()
            assert code in (0, -signal.SIGKILL)
            for _ in range(2):  # whoever comes after its lease is over, and again
                time.on(seconds=61)
                made.enrol(made.worker("later"))
            (row,) = [row for row in made.ledger() if row.address == address]
            entered = made.entered()[address]
            assert entered <= 1, f"twice, killed at step {strike}"
            if name == TAG:
                assert (entered, row.state) == (1, S.DONE), f"killed at step {strike}"
            else:
                assert row.state in (S.DONE, S.UNCERTAIN), f"killed at step {strike}"
                assert (entered, row.state) != (0, S.DONE), f"done and not mailed, killed at step {strike}"
            if code == 0:
                break
            killed += 1
        assert killed * every > 15  # it is a sweep over many steps
        assert made.harmless()
        assert set(made.entered().values()) == {1}


def final(made: Stage, record: str, time: Moving) -> str | None:
    """What the CRM shows once every worker has had its turn."""
    for _ in range(2):
        time.on(seconds=61)
        made.sync()
    return made.held(record).get("leadbridge_score")


def test_stopped_at_any_step_of_a_write_and_overtaken_no_old_score_stays(
    store: Store, store_url: str, stepped: Stepped, tally: Tally
) -> None:
    """Frozen by SIGSTOP between computing and confirming, it goes on after another has written a newer score."""
    with stage(store) as made, moving(made) as time:
        strike = stale = 0
        while True:
            strike += 1
            record = made.lead(f"lead{strike}@acme.example")
            made.until_scored()
            child = stepped.begin(made, store_url, "write", TAG, strike, signal.SIGSTOP)
            frozen = holds_still(child)
            if frozen:
                time.on(seconds=61)
                made.edit(record, jobtitle="Director")
                made.sync()
                os.kill(child, signal.SIGCONT)
            _, code = stepped.end()
            assert code == 0
            if not frozen:
                break
            stale += final(made, record, time) != "55"
        assert strike > 4  # claimed, on the line, sent, and confirmed
        tally(27, trials=strike - 1, wrong=stale)


def holds_still(child: int) -> bool:
    """Wait until the process is stopped, or gone."""
    while True:
        try:
            state = Path(f"/proc/{child}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return False
        if state in "TZX":
            return state == "T"
        threading.Event().wait(0.001)

"""A process that sends mails or scores and is struck by a signal at its n-th step, for sweeps over all of them.

Run as `python -m tests.helpers.stepped`, so that it may fork: everything is imported, no thread runs. Reads one JSON
object per line, `{"url", "store", "job", "journey", "now", "strike", "signal"}`; forks a child that works at the
sandbox of this address, answers `{"pid"}`, then `{"steps", "exit"}` (negative: the signal) once the child is gone.

A step is whatever another could notice or miss: a transaction begun, about to be committed, or over, a connection
about to be made, bytes about to leave. Time stands still at `now`. SIGSTOP freezes the child until it is told to go on.
"""

import json
import os
import signal
import sys
import traceback
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from leadbridge import clock
from leadbridge.store import open_store
from leadbridge.testing import Skipping
from sync import enrol, write_back
from tests.helpers import rooms
from tests.helpers.databases import KEY
from tests.helpers.syncing import configuration, journey

LEAVING = ("socket.connect", "http.client.send")


class Steps:
    """Counts steps in a pipe that outlives the process, and strikes at one of them."""

    def __init__(self, strike: int, by: signal.Signals, tell: int) -> None:
        self._left, self.by, self._tell = strike, by, tell

    def step(self, *_: object) -> None:
        self._left -= 1
        os.write(self._tell, b".")
        if self._left == 0:
            os.kill(os.getpid(), self.by)

    def heard(self, event: str, _arguments: object) -> None:
        if event in LEAVING:
            self.step()


def work(order: dict[str, Any], tell: int) -> None:
    now = datetime.fromisoformat(order["now"])
    clock.set_source(lambda: now)
    steps = Steps(order["strike"], signal.Signals(order["signal"]), tell)
    config = configuration(order["url"], journey(order["journey"]))
    store = open_store(order["store"], key=KEY)
    platform, crm = rooms.mailchimp(config, Skipping().pace()), rooms.hubspot(config, Skipping().pace())
    with store.reading():  # the first connection asks the database how it is set up
        pass
    frozen = steps.by is signal.SIGSTOP  # within a transaction it would hold up everybody, which the database ends
    for event in ("checkin",) if frozen else ("begin", "commit", "checkin"):
        sa.event.listen(store._engine, event, steps.step)
    sys.addaudithook(steps.heard)
    if order["job"] == "enrol":
        enrol.enrol(store, platform, config, owner=f"process {os.getpid()}")
    else:
        write_back.write_back(store, crm, owner=f"process {os.getpid()}")


def main() -> None:
    for line in sys.stdin:
        heard, tell = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                work(json.loads(line), tell)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        os.close(tell)
        print(json.dumps({"pid": child}), flush=True)
        steps = 0
        while part := os.read(heard, 4096):
            steps += len(part)
        os.close(heard)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"steps": steps, "exit": os.waitstatus_to_exitcode(status)}), flush=True)


if __name__ == "__main__":
    main()

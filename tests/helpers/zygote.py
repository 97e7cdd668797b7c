"""A process that has everything imported and forks a child for each round, so that rounds can be killed cheaply.

Run as ``python -m tests.helpers.zygote``. Reads one JSON object per line from standard input, ``{"config", "environ",
"now"}``; forks a child that runs one `sync` round as its own process group, answers ``{"pid": N}`` at once and
``{"exit": CODE}`` (negative: the signal) when the child is gone. A forked child is a real process: SIGKILL ends it at
any instruction, in the middle of any system call.
"""

import importlib
import json
import os
import sys
import traceback
from datetime import datetime
from pathlib import Path

from leadbridge import clock
from leadbridge.config.load import load
from sync import cycle, wiring


def one_round(order: dict[str, object]) -> None:
    now = datetime.fromisoformat(str(order["now"]))
    clock.set_source(lambda: now)
    parts = wiring.build(load(Path(str(order["config"])), dict(order["environ"])))  # type: ignore[call-overload]
    with wiring.sole_worker(parts):
        done = cycle.sync(parts)
    if done.paused:
        raise SystemExit(1)
    parts.close()


def warm() -> None:
    """Import what a round imports, so that children share it."""
    for name in ("connectors.hubspot.connector", "connectors.mailchimp.connector", "alembic.command", "filelock",
                 "leadbridge.store.migrations"):  # fmt: skip
        importlib.import_module(name)


def main() -> None:
    warm()
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            try:
                one_round(order)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print(json.dumps({"pid": child}), flush=True)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"exit": os.waitstatus_to_exitcode(status)}), flush=True)


if __name__ == "__main__":
    main()

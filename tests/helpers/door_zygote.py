"""A process that has the web server imported and forks a child for each round, so that rounds can be killed cheaply.

Run as `python -m tests.helpers.door_zygote`. Reads one JSON object per line, `{"store", "config"}`; forks a child that
serves, and answers `{"pid", "url"}`, then `{"exit"}` (negative: the signal) once the child is gone. SIGTERM asks the
child to stop by itself. A forked child is a real process: SIGKILL ends it at any instruction.
"""

import json
import os
import signal
import sys
import traceback

import leadbridge.store.migrations  # noqa: F401 - shared by the children
from leadbridge.config.schema import Config
from leadbridge.store import open_store
from tests.helpers.databases import KEY
from webhooks.app import create_app
from webhooks.serve import serve


def serve_until_told(order: dict[str, object], tell: int) -> None:
    store = open_store(str(order["store"]), key=KEY)
    server = serve(create_app(Config.model_validate(order["config"]), store, wake=lambda: None), "127.0.0.1", 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # first: a thread without it would be given the signal
    server.start()
    os.write(tell, server.url.encode())
    os.close(tell)
    signal.sigwait([signal.SIGTERM])
    server.stop()
    store.close()


def main() -> None:
    for line in sys.stdin:
        hear, tell = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(hear)
            try:
                serve_until_told(json.loads(line), tell)
            except Exception:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        os.close(tell)
        with os.fdopen(hear) as url:
            print(json.dumps({"pid": child, "url": url.read()}), flush=True)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"exit": os.waitstatus_to_exitcode(status)}), flush=True)


if __name__ == "__main__":
    main()

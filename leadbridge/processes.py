"""The scaled shape's three kinds of process: `web`, `worker` and `beat`. Any number of each, on any number of machines.

All of them end within 30 s of SIGTERM, with the step at hand finished (reliability G31).
"""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from celery import signals
from flask import Flask

from leadbridge.config.load import load
from leadbridge.config.schema import Config
from leadbridge.run import portal_of
from leadbridge.store.engine import open_store
from sync.celery_app import PULL, WORK, Bell, make_app
from sync.tasks import GRACE, Shift
from webhooks.app import create_app

if TYPE_CHECKING:
    from celery.beat import Service

Tell = Callable[[str], None]


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def web(config: Config, processes: int, *, tell: Tell) -> None:
    """The doors, in so many processes. Raises ConfigError and StoreError; ends by leaving the process."""
    from webhooks.processes import Doors

    _prepare(config)
    Doors(lambda: door(config), host=config.web.host, port=config.web.port, processes=processes, tell=tell).run()


def door(config: Config) -> Flask:
    """The application of one web process; it rings the workers, and does not mind when nobody hears it."""
    store = open_store(config.store)
    return create_app(config, store, wake=Bell(config).ring, portal=portal_of(store))


def application() -> Flask:
    """`door` for a gunicorn that somebody starts by hand; the file's name is in LEADBRIDGE_CONFIG."""
    return door(load(Path(os.environ.get("LEADBRIDGE_CONFIG", "leadbridge.yaml"))))


def worker(config: Config, processes: int, *, tell: Tell) -> int:
    """Workers, in so many processes below this one. Returns the exit code."""
    app = make_app(config)
    _prepare(config)
    told, stop = os.pipe()  # the children read it; that it ends tells them to end, also when we are killed

    def begin(**_: Any) -> None:
        os.close(stop)
        Shift(config, told)

    def ready(**_: Any) -> None:
        tell(f"leadbridge works in {processes} {'process' if processes == 1 else 'processes'}")

    def end(**_: Any) -> None:
        with suppress(OSError):  # told twice
            os.close(stop)
        late = threading.Timer(GRACE + 3, os._exit, [1])
        late.daemon = True
        late.start()

    signals.worker_process_init.connect(begin)
    signals.worker_process_shutdown.connect(_end_of_shift)
    signals.celeryd_after_setup.connect(ready)
    signals.worker_shutting_down.connect(end)
    signals.setup_logging.connect(_leave_logs_alone)
    program = app.Worker(
        pool="prefork",
        concurrency=processes,
        queues=f"{WORK},{PULL}",
        quiet=True,
        optimization="fair",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    program.start()
    return int(program.exitcode or 0)


def beat(config: Config, *, tell: Tell) -> None:
    """The clock that rings. It keeps nothing and decides nothing: what is due stands in the store."""
    import signal

    app = make_app(config)
    signals.setup_logging.connect(_leave_logs_alone)
    service: Service = app.Beat(quiet=True).Service(app=app, scheduler_cls=app.conf.beat_scheduler)

    def stop(*_: Any) -> None:
        raise SystemExit(0)

    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, stop)
    tell("leadbridge rings the workers")
    service.start()


def _prepare(config: Config) -> None:
    """Bring the store up to date once, before there are processes that use it."""
    make_app(config).close()  # says what is missing of the scaled shape before anything is touched
    store = open_store(config.store)
    try:
        store.migrate()
    finally:
        store.close()


def _end_of_shift(**_: Any) -> None:
    with suppress(Exception):  # a child that never came to work
        Shift.here().close()


def _leave_logs_alone(**_: Any) -> None:
    """Celery sets up no logging of its own where somebody listens to this signal."""

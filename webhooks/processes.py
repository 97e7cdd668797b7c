"""The doors in any number of processes: gunicorn keeps them, our own server answers in each (scaled shape).

gunicorn binds the address, forks, watches, replaces and drains. What it forks is not one of its own workers but the
server of `webhooks.serve` over the shared socket, so that framing, limits and patience with slow senders are the same
in both shapes, and tested once.
"""

import logging
import os
import sys
from collections.abc import Callable
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config as Settings
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker

from leadbridge import logs
from webhooks.serve import over, readable

SILENT = 30
"""Seconds without a sign of life after which a process is replaced."""

DRAIN = 25
"""Seconds a process may take to answer what has arrived when it is to end (reliability G31 allows 30 in all)."""


class DoorWorker(Worker):
    """One process behind the doors."""

    def run(self) -> None:
        server = over(self.wsgi, self.sockets[0].sock)
        server.run(self._wanted)

    def _wanted(self) -> bool:
        self.notify()
        return bool(self.alive) and self.ppid == os.getppid()


class PlainLogger(Logger):
    """gunicorn's words through our logs. No access log: a path may hold a secret, and the application tells routes."""

    def setup(self, cfg: Settings) -> None:  # noqa: ARG002 - gunicorn's signature
        if not logging.getLogger().handlers:  # started by hand, not by our command line
            logs.configure(json=not sys.stderr.isatty())
        self.error_log.propagate = True
        self.error_log.handlers[:] = []

    def access(self, *_given: Any) -> None:
        """Nothing."""


class Doors(BaseApplication):
    """The web server of the scaled shape; `run` returns when it is told to stop, by leaving the process."""

    def __init__(
        self, build: Callable[[], Flask], *, host: str, port: int, processes: int, tell: Callable[[str], None]
    ) -> None:
        """`build` makes the application, in each process after the fork. `tell` is given the address listened on."""
        self._build = build
        self._settings = settings(host, port, processes) | {
            "when_ready": lambda arbiter: tell(_address(arbiter)),
        }
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._settings.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return self._build()


def settings(host: str, port: int, processes: int) -> dict[str, Any]:
    """What gunicorn is told; `deploy/gunicorn.conf.py` says the same for those who start it themselves."""
    return {
        "bind": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        "workers": processes,
        "worker_class": DoorWorker,
        "timeout": SILENT,
        "graceful_timeout": DRAIN,
        "logger_class": PlainLogger,
        "control_socket_disable": True,
        "preload_app": False,  # a store is opened after a fork, not before
    }


def _address(arbiter: Arbiter) -> str:
    listener = arbiter.LISTENERS[0].sock
    return readable(*listener.getsockname()[:2])

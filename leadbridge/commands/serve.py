"""What runs until it is stopped: everything in one process, or the scaled shape's three kinds of process."""

from __future__ import annotations

from typing import Annotated

import typer

from leadbridge.commands.common import DEFAULT_CONFIG, ConfigFile, load, parts_of

Processes = Annotated[
    int | None, typer.Option(min=1, max=256, help="how many processes (default: as many as there are processors)")
]


def run(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Run webhook server and worker in one process, until stopped."""
    from leadbridge import run as embedded

    with parts_of(config, worker=True) as parts:
        embedded.run(parts, tell=_listens)


def web(config: ConfigFile = DEFAULT_CONFIG, processes: Processes = None) -> None:
    """Run the webhook server in several processes, until stopped. Needs `queue:` and PostgreSQL."""
    from leadbridge import processes as scaled

    scaled.web(load(config), processes or scaled.processors(), tell=_listens)


def worker(config: ConfigFile = DEFAULT_CONFIG, processes: Processes = None) -> None:
    """Run workers: pull, rescore, write back, enrol, until stopped. Needs `queue:` and PostgreSQL."""
    from leadbridge import processes as scaled

    raise typer.Exit(scaled.worker(load(config), processes or scaled.processors(), tell=_say))


def beat(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Ring the workers every few seconds, until stopped. One is enough, two do no harm."""
    from leadbridge import processes as scaled

    scaled.beat(load(config), tell=_say)


def _listens(url: str) -> None:
    _say(f"leadbridge listens on {url}")


def _say(words: str) -> None:
    typer.echo(words, err=True)

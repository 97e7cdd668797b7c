"""The loop and what came of it."""

from __future__ import annotations

from typing import Annotated

import typer

from leadbridge.commands.common import (
    DEFAULT_CONFIG,
    FAILED,
    IN_PART,
    AsJson,
    ConfigFile,
    emit,
    parts_of,
)


def sync(
    config: ConfigFile = DEFAULT_CONFIG,
    full: Annotated[bool, typer.Option("--full", help="read everything again")] = False,
    as_json: AsJson = False,
) -> None:
    """Pull, rescore, write back, enrol: once, then stop."""
    from leadbridge import report
    from sync import cycle

    with parts_of(config, worker=True) as parts, report.progress(quiet=as_json) as tell:
        done = cycle.sync(parts, full=full, tell=tell)
    figures = report.figures(done)
    emit(as_json, figures, lambda: report.show_round(done))
    if done.paused:
        raise typer.Exit(FAILED)
    if figures["in_part"]:
        raise typer.Exit(IN_PART)


def explain(
    email: Annotated[str, typer.Argument(help="the person's address")],
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Show how one person's score comes about. Reads the store only."""
    from leadbridge import report
    from sync.explain import explain as explanation

    with parts_of(config) as parts:
        found = explanation(parts.store, parts.scorer, email)
    if found is None:
        typer.echo(f"Nobody with the address {email} is in the store; has `leadbridge sync` run?", err=True)
        raise typer.Exit(FAILED)
    emit(as_json, found.as_dict(), lambda: report.show_explanation(found))


def status(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Show what is stored and what waits. Reads the store only."""
    from leadbridge import report

    with parts_of(config) as parts:
        figures = report.status(parts.store)
    emit(as_json, figures, lambda: report.show_status(figures))

"""The loop and what came of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from leadbridge.commands.common import (
    DEFAULT_CONFIG,
    FAILED,
    IN_PART,
    WRONG_USE,
    AsJson,
    ConfigFile,
    emit,
    instant,
    parts_of,
)


def sync(
    config: ConfigFile = DEFAULT_CONFIG,
    full: Annotated[bool, typer.Option("--full", help="read everything again")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="read, and show what would be done; change nothing")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Pull, rescore, write back, enrol: once, then stop."""
    from leadbridge import report
    from sync import cycle

    if dry_run:
        from sync.preview import preview

        with parts_of(config, worker=True) as parts, report.progress(quiet=as_json) as tell:
            would = preview(parts, full=full, tell=tell)
        emit(as_json, would.as_dict(), lambda: report.show_preview(would))
        return
    with parts_of(config, worker=True) as parts, report.progress(quiet=as_json) as tell:
        done = cycle.sync(parts, full=full, tell=tell)
    figures = report.figures(done)
    emit(as_json, figures, lambda: report.show_round(done))
    if done.paused:
        raise typer.Exit(FAILED)
    if figures["in_part"]:
        raise typer.Exit(IN_PART)


def count(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Is every record of the CRM here? Counted by object and month, there and here. Reads only; one call a month."""
    from sync import count as counting

    with parts_of(config) as parts:
        found = list(counting.by_month(parts.store, parts.crms))
    lacking = sum(max(0, one.lacking) for one in found)
    months = [{**asdict(one), "month": str(one.month or "before"), "lacking": one.lacking} for one in found]

    def show() -> None:
        for one in found:
            when = f"{one.month:%Y-%m}" if one.month else "before"
            note = f"  {one.lacking:+,} there" if one.lacking else ""
            typer.echo(f"{one.vendor} {one.object_type} {when:>7} {one.there:>10,} there {one.here:>10,} here{note}")
        if not found:
            typer.echo("Nothing to count: run `leadbridge sync` first.")
        elif lacking:
            typer.echo(f"{lacking:,} are not here. Those of people who were forgotten never are; the others come with")
            typer.echo("`leadbridge sync --full`.")
        else:
            typer.echo("Everything is here.")

    emit(as_json, {"lacking": lacking, "months": months}, show)
    if lacking or not found:
        raise typer.Exit(IN_PART)


def explain(
    email: Annotated[str, typer.Argument(help="the person's address")],
    at: Annotated[str | None, typer.Option(help="as of this day or instant, such as 2026-03-01; default: now")] = None,
    against: Annotated[str | None, typer.Option(help="what changed since this day or instant")] = None,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Show how one person's score comes about, and what would raise it. Reads the store only.

    With --at, as of a past instant; with --against, what changed since another one.
    """
    from leadbridge import report
    from sync import explain as explaining

    when, before = instant("--at", at), instant("--against", against)
    with parts_of(config) as parts:
        if before is None:
            found = explaining.explain(parts.store, parts.scorer, email, when)
            if found is not None:
                emit(as_json, found.as_dict(), lambda: report.show_explanation(found))
                return
        else:
            try:
                moved = explaining.difference(parts.store, parts.scorer, email, before, when)
            except ValueError as error:
                typer.echo(f"--against {error}", err=True)
                raise typer.Exit(WRONG_USE) from None
            if moved is not None:
                emit(as_json, moved.as_dict(), lambda: report.show_difference(moved))
                return
    then = f", or nothing was known of them at {at}" if at else "; has `leadbridge sync` run?"
    typer.echo(f"Nobody with the address {email} is in the store{then}", err=True)
    raise typer.Exit(FAILED)


def status(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Show what is stored, what waits, what was set aside, and what bounds contact. Reads the store only."""
    from leadbridge import report

    with parts_of(config) as parts:
        figures = report.status(parts.store, parts.config)
    emit(as_json, figures, lambda: report.show_status(figures))

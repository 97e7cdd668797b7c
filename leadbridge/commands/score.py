"""Scores of everybody at once: who would move before anything moves, and moving them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leadbridge.commands.common import (
    DEFAULT_CONFIG,
    IN_PART,
    WRONG_USE,
    AsJson,
    ConfigFile,
    emit,
    load,
    parts_of,
)


def score(
    config: ConfigFile = DEFAULT_CONFIG,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show who would move, and change nothing")] = False,
    compare: Annotated[
        Path | None,
        typer.Option(help="another configuration to compare with, instead of the store; changes nothing",
                     exists=True, dir_okay=False, readable=True),
    ] = None,
    by: Annotated[str | None, typer.Option(help="field to count changes of stage by, such as the owner")] = None,
    processes: Annotated[int, typer.Option(min=1, max=64, help="processes that share the work of scoring")] = 1,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Score everybody by the configuration as it is now.

    With --dry-run, show instead who would move and change nothing; with --compare, between two configurations. Without
    either, the new scores are stored, and the next `sync` or `run` writes them to the vendors. Calls no vendor.
    """
    from leadbridge import forecast_report, report

    if by is not None and not dry_run and compare is None:
        typer.echo("--by goes with --dry-run or --compare", err=True)
        raise typer.Exit(WRONG_USE)
    if not dry_run and compare is None:
        from sync import passes

        with parts_of(config, worker=True) as parts, report.progress(quiet=as_json) as tell:
            done = passes.everybody(parts, processes=processes, tell=tell)
        emit(as_json, {"people": done.seen, "moved": done.changed, "to_write": done.writes,
                       "drifting": done.drifting, "set_aside": done.failed, "one_by_one": done.handed_on},
             lambda: forecast_report.show_scored(done))  # fmt: skip
        if done.failed or done.handed_on:  # the next round scores those one by one, and sets the bad aside
            raise typer.Exit(IN_PART)
        return
    from sync.forecast import forecast
    from sync.outlook import Scorer

    old = None if compare is None else Scorer(load(compare))
    with parts_of(config) as parts, report.progress(quiet=as_json) as tell:
        try:
            found = forecast(parts.store, parts.scorer, parts.crms, parts.platform, old=old, by=by, tell=tell)
        except ValueError as error:
            typer.echo(f"--by {error}", err=True)
            raise typer.Exit(WRONG_USE) from None
    emit(as_json, found.as_dict(), lambda: forecast_report.show_forecast(found, by))

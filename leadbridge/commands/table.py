"""Leads and what they did, from a table that some other tool wrote."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leadbridge.commands.common import DEFAULT_CONFIG, WRONG_USE, AsJson, ConfigFile, emit, parts_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sync.table import Call, Unfit

SHOWN = 20
"""Lines that are told in words when they do not do."""


def import_(
    file: Annotated[Path, typer.Argument(help="CSV file in UTF-8", exists=True, dir_okay=False, readable=True)],
    column: Annotated[
        list[str] | None, typer.Option(help="THEIRS=OURS: what a column is called here, such as E-Mail=email")
    ] = None,
    delimiter: Annotated[str, typer.Option(help="what stands between two columns")] = ",",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="look at every line, keep nothing")] = False,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Bring in a CSV file: who people are, and what they did (docs/intake.md)."""
    from sync import table

    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise typer.BadParameter("needs one character, such as ; or a tab", param_hint="--delimiter")
    pairs = [one.partition("=")[::2] for one in column or ()]
    if not all(theirs.strip() and ours.strip() for theirs, ours in pairs):
        raise typer.BadParameter("write THEIRS=OURS", param_hint="--column")
    renamed = {theirs.strip(): ours.strip() for theirs, ours in pairs}

    def lines() -> Iterator[Call | Unfit]:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            yield from table.read(opened, delimiter=delimiter, renamed=renamed)

    with parts_of(config) as parts:
        if parts.intake is None:
            typer.echo(
                'leadbridge: the configuration takes nothing in; add intake: {write_key: "${INTAKE_KEY}"}', err=True
            )
            raise typer.Exit(WRONG_USE)
        calls, unfit = 0, 0
        for one in lines():  # the whole table before any of it
            if isinstance(one, table.Unfit):
                unfit += 1
                if unfit <= SHOWN:
                    typer.echo(f"{file.name}: {one}", err=True)
            else:
                calls += 1
        if unfit:
            noun = "line does" if unfit == 1 else "lines do"
            typer.echo(f"{unfit} {noun} not do; nothing was kept. Mend or remove them, and import again.", err=True)
            raise typer.Exit(WRONG_USE)
        if not dry_run:
            calls = table.keep(parts.store, (one for one in lines() if not isinstance(one, table.Unfit)))

    def show() -> None:
        count = "1 line" if calls == 1 else f"{calls:,} lines"
        typer.echo(
            f"{count} would be kept." if dry_run
            else f"{count} kept; the worker, or the next `leadbridge sync`, works on what was kept."
        )  # fmt: skip

    emit(as_json, {"kept": 0 if dry_run else calls, "lines": calls}, show)

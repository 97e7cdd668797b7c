"""The call list of sales, on the screen or as a file for a spreadsheet."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from leadbridge.commands.common import DEFAULT_CONFIG, FAILED, WRONG_USE, AsJson, ConfigFile, emit, parts_of


def export(
    config: ConfigFile = DEFAULT_CONFIG,
    by: Annotated[str | None, typer.Option(help="a list for each value of this field, such as the owner")] = None,
    score: Annotated[str | None, typer.Option(help="the score to rank by; default: the main one")] = None,
    show: Annotated[list[str] | None, typer.Option(help="a field to show too; may be given several times")] = None,
    limit: Annotated[int, typer.Option(min=1, help="at most this many on each list")] = 100,
    csv: Annotated[Path | None, typer.Option("--csv", help="write a file for a spreadsheet; - for the screen")] = None,
    as_json: AsJson = False,
) -> None:
    """Whom to call first: everybody with a score, best first, with the reasons. Reads the store only.

    The order is stable: score, then grade, then who was known first.
    """
    from leadbridge import spreadsheet
    from leadbridge.report import console
    from sync import call_list

    if csv is not None and as_json:
        typer.echo("--csv and --json are two forms of one list; give one of them", err=True)
        raise typer.Exit(WRONG_USE)
    shown = tuple(show or ())
    with parts_of(config) as parts, parts.store.reading() as tx:
        main = score or next(iter(parts.config.scores))
        try:
            lists = call_list.call_lists(tx, parts.config, main, by, limit, shown)
        except ValueError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(WRONG_USE) from None
    found: list[dict[str, Any]] = [
        {"owner": each.owner or None, "left_out": each.left_out,
         "people": [call_list.row(rank, person, shown) for rank, person in enumerate(each.people, 1)]}
        for each in lists
    ]  # fmt: skip
    if csv is not None:
        columns = ([by] if by else []) + [name for name in (*call_list.COLUMNS, *shown) if name != by]
        rows = [
            [each["owner"] if name == by else line[name] for name in columns]
            for each in found
            for line in each["people"]
        ]
        if str(csv) == "-":
            spreadsheet.write(sys.stdout, columns, rows)
            return
        try:
            count = spreadsheet.save(csv, columns, rows)
        except OSError as error:
            typer.echo(f"{csv} cannot be written: {error.strerror}", err=True)
            raise typer.Exit(FAILED) from None
        typer.echo(f"{count:,} people in {csv}, which only you may read; it holds personal data.")
        return

    def words() -> None:
        for each in found:
            if by is not None:
                owner = spreadsheet.clean(each["owner"] or "(none)")
                console.print(f"{by} {owner}", style="bold", markup=False, highlight=False)
            for line in each["people"]:
                told = f"{line['rank']:>4}  {line['score']:>3} {line['grade'] or '':<2} "
                told += line["email"] or "(no address)"
                extra = "".join(f", {name} {line[name]}" for name in shown if line[name] is not None)
                text = spreadsheet.clean(f"{told}  {line['reasons']}{extra}")
                console.print(text, markup=False, highlight=False, soft_wrap=True)
            if each["left_out"]:
                console.print(f"      and {each['left_out']:,} more", highlight=False)
        if not found:
            console.print("Nobody has this score yet.")

    emit(as_json, {"score": main, "by": by, "lists": found}, words)

"""Before the first run: judge the file, and prepare the accounts and the store."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leadbridge.commands.common import (
    DEFAULT_CONFIG,
    FAILED,
    WRONG_USE,
    AsJson,
    ConfigFile,
    Crm,
    emit,
    load,
    parts_of,
)
from leadbridge.errors import ConfigError, Fault

if TYPE_CHECKING:
    from sync.ahead import Ahead


def init(
    crm: Annotated[Crm, typer.Option(help="the CRM you have")] = Crm.HUBSPOT,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Write a configuration to start from, with remarks: for your CRM and Mailchimp. Contacts nobody.

    It passes `check` as it stands. A file that is there already is not touched.
    """
    from leadbridge import starting
    from leadbridge.config.load import as_written

    try:
        with config.open("x", encoding="utf-8") as out:
            out.write(starting.text(crm))
    except FileExistsError:
        typer.echo(f"{config} is there already and was not touched; name another with --config", err=True)
        raise typer.Exit(FAILED) from None
    except OSError as error:
        typer.echo(f"{config} cannot be written: {error.strerror}", err=True)
        raise typer.Exit(FAILED) from None
    _, unset = as_written(config)

    def show() -> None:
        typer.echo(f"{config} is written. Change in it what is yours: the audience, your fields, rules and journeys.")
        if unset:
            typer.echo(
                f"Set in the environment: {', '.join(unset)} (or the name of a file: {unset[0]}_FILE and so on)."
            )
        typer.echo("Then: leadbridge check, check --live, plan, apply, sync --dry-run.")

    emit(as_json, {"file": str(config), "unset": unset}, show)


def check(
    config: ConfigFile = DEFAULT_CONFIG,
    live: Annotated[bool, typer.Option("--live", help="also ask the accounts whether they agree with it")] = False,
    as_json: AsJson = False,
) -> None:
    """Read the configuration and say what it means. Contacts nobody, unless --live; reads only.

    Judges the file wherever it is: variables that are not set here are named, and are no fault of the file.
    """
    from leadbridge.config.load import as_written
    from leadbridge.config.report import describe

    try:
        found, unset = as_written(config)
    except ConfigError as error:
        if as_json:
            typer.echo(json.dumps({"file": str(config), "faults": [asdict(fault) for fault in error.faults]}))
            raise typer.Exit(WRONG_USE) from None
        raise
    lines = describe(found)
    faults, unseen = _live(config) if live else ([], [])

    def show() -> None:
        width = max(len(name) for name, _ in lines)
        for name, text in lines:
            typer.echo(f"{name:<{width}}  {text}")
        for fault in faults:
            typer.echo(f"{fault}", err=True)
        if not faults:
            typer.echo(f"\n{config} is right" + (", and the accounts agree with it." if live else "."))
        for what in unseen:
            typer.echo(f"No API tells leadbridge of {what}: `leadbridge plan` lists what has to be there.")
        if unset:
            typer.echo(
                f"Not set here: {', '.join(unset)}. Every other command needs each of them, "
                f"or the name of a file that holds it in {unset[0]}_FILE and so on."
            )

    told = [asdict(fault) for fault in faults]
    about = {"file": str(config), "faults": told, "unset": unset, "says": dict(lines)}
    emit(as_json, about | ({"not_seen": unseen} if live else {}), show)
    if faults:
        raise typer.Exit(WRONG_USE)


def _live(config: Path) -> tuple[list[Fault], list[str]]:
    """What the accounts say against the file, and what they do not tell; a field still to be created is no fault,
    `plan` shows it."""
    from sync import setup

    with parts_of(config) as parts:
        return setup.faults(parts), [f"{one.vendor}'s {one.what.what}" for one in setup.by_hand(parts)]


def plan(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Show what the accounts lack, what a person has to set up there, and what the next run costs. Changes nothing."""
    from sync import setup
    from sync.ahead import ahead

    with parts_of(config) as parts:
        missing, chores = setup.plan(parts), setup.by_hand(parts)
        coming = ahead(parts.store, parts.crms)

    def show() -> None:
        _show_plan(missing, "would be created")
        for one in coming:
            _show_ahead(one)
        for chore in chores:
            typer.echo(f"\n{chore.vendor}, by hand, once ({chore.what.what}): {chore.what.how}")
            for entry in chore.what.entries:
                typer.echo(f"  {entry}")

    told = {
        "missing": [line.as_dict() for line in missing],
        "by_hand": [chore.as_dict() for chore in chores],
        "ahead": [one.as_dict() for one in coming],
    }
    emit(as_json, told, show)


def _show_ahead(one: Ahead) -> None:
    read = "an unknown number of people" if one.to_read is None else f"{one.to_read:,} people not read yet"
    words = f"{one.vendor}: {read}, {one.to_write:,} records to write: {one.calls:,} calls at least"
    if one.left is not None:
        words += f"; {one.left:,} of the day's calls are left to leadbridge"
    typer.echo(words + ("." if not one.too_many else ", so that the rest goes on tomorrow."))


def apply(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Create what `plan` shows. Repeating changes nothing."""
    from sync import setup

    with parts_of(config) as parts:
        created = setup.apply(parts)
    emit(as_json, {"created": [line.as_dict() for line in created]}, lambda: _show_plan(created, "created"))


def _show_plan(lines: list[Any], verb: str) -> None:
    if not lines:
        typer.echo("Everything is there; nothing to do.")
    for line in lines:
        what = "webhook for" if line.spec.kind == "webhook" else f"{line.spec.kind} property"
        typer.echo(f"{line.vendor}: {what} {line.spec.name!r} {verb} ({line.spec.label})")


def migrate(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Bring the store to this version's shape. Repeating changes nothing; killed half-way, it resumes."""
    from leadbridge.store.engine import open_store

    store = open_store(load(config).store)
    store.migrate()
    store.close()
    typer.echo("The store is up to date.")

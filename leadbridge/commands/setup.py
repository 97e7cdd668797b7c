"""Before the first run: judge the file, and prepare the accounts and the store."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import typer

from leadbridge.commands.common import (
    DEFAULT_CONFIG,
    WRONG_USE,
    AsJson,
    ConfigFile,
    emit,
    load,
    parts_of,
)
from leadbridge.errors import ConfigError


def check(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Read the configuration and say what it means. Contacts nobody.

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

    def show() -> None:
        width = max(len(name) for name, _ in lines)
        for name, text in lines:
            typer.echo(f"{name:<{width}}  {text}")
        typer.echo(f"\n{config} is right.")
        if unset:
            typer.echo(
                f"Not set here: {', '.join(unset)}. Every other command needs each of them, "
                f"or the name of a file that holds it in {unset[0]}_FILE and so on."
            )

    emit(as_json, {"file": str(config), "faults": [], "unset": unset, "says": dict(lines)}, show)


def plan(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Show which properties and merge fields are missing. Changes nothing."""
    from sync import setup

    with parts_of(config) as parts:
        missing = setup.plan(parts)
    emit(as_json, {"missing": [line.as_dict() for line in missing]}, lambda: _show_plan(missing, "would be created"))


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
        typer.echo(f"{line.vendor}: {line.spec.kind} property {line.spec.name!r} {verb} ({line.spec.label})")


def migrate(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Bring the store to this version's shape. Repeating changes nothing; killed half-way, it resumes."""
    from leadbridge.store.engine import open_store

    store = open_store(load(config).store)
    store.migrate()
    store.close()
    typer.echo("The store is up to date.")

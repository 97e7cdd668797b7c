"""The command line. Every command takes --config; those that print a result take --json.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 done in part. Heavy imports live inside the commands,
so that `leadbridge --help` answers at once.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leadbridge import __version__
from leadbridge.errors import ConfigError, Fault, LeadbridgeError

if TYPE_CHECKING:
    from leadbridge.config.schema import Config
    from sync.wiring import Parts

FAILED, WRONG_USE, IN_PART = 1, 2, 3

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Scores CRM leads with reasons, writes the score back, and puts people into the journey that fits them.",
)

ConfigFile = Annotated[Path, typer.Option("--config", "-c", help="configuration file", show_default=True)]
LeadsFile = Annotated[
    Path | None,
    typer.Option(help="CSV file (plain or .gz) of real leads instead", exists=True, dir_okay=False, readable=True),
]
MappingFile = Annotated[
    Path | None,
    typer.Option(help="YAML file that says what its columns are", exists=True, dir_okay=False, readable=True),
]
Limit = Annotated[int | None, typer.Option(min=1, help="read at most this many leads of the file, the newest")]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object instead of words")]
DEFAULT_CONFIG = Path("leadbridge.yaml")


def _version(show: bool) -> None:
    if show:
        typer.echo(f"leadbridge {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[  # noqa: ARG001 - its callback has answered
        bool, typer.Option("--version", callback=_version, is_eager=True, help="show the version")
    ] = False,
) -> None:
    from leadbridge import logs

    logs.configure(json=not sys.stderr.isatty())


def main() -> None:
    """Entry point: errors raised on purpose become words and an exit code, never a traceback."""
    try:
        app()
    except ConfigError as error:
        for fault in error.faults:
            typer.echo(_told(error.file, fault), err=True)
        noun = "fault" if len(error.faults) == 1 else "faults"
        typer.echo(f"{len(error.faults)} {noun} in {error.file}; nothing was contacted.", err=True)
        sys.exit(WRONG_USE)
    except LeadbridgeError as error:
        typer.echo(f"leadbridge: {error}", err=True)
        sys.exit(FAILED)


def _told(file: str, fault: Fault) -> str:
    """A fault as one line, with its place as editors read it."""
    if fault.line:
        return f"{file}:{fault.line}: {fault}"
    whole = fault.where == "the file"
    return f"{file} {fault.problem}" if whole else f"{file}: {fault}"


def _load(path: Path) -> Config:
    from leadbridge.config.load import load

    return load(path)


@contextmanager
def _parts(path: Path, *, worker: bool = False) -> Iterator[Parts]:
    """Working parts for one command; as a worker, the only one on an embedded store."""
    from sync import wiring

    parts = wiring.build(_load(path))
    try:
        if worker:
            with wiring.sole_worker(parts):
                yield parts
        else:
            yield parts
    finally:
        parts.close()


def _emit(as_json: bool, figures: dict[str, Any], show: Callable[[], None]) -> None:
    if as_json:
        typer.echo(json.dumps(figures, default=str, ensure_ascii=False))
    else:
        show()


@app.command()
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

    _emit(as_json, {"file": str(config), "faults": [], "unset": unset, "says": dict(lines)}, show)


@app.command()
def plan(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Show which properties and merge fields are missing. Changes nothing."""
    from sync import setup

    with _parts(config) as parts:
        missing = setup.plan(parts)
    _emit(as_json, {"missing": [line.as_dict() for line in missing]}, lambda: _show_plan(missing, "would be created"))


@app.command()
def apply(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Create what `plan` shows. Repeating changes nothing."""
    from sync import setup

    with _parts(config) as parts:
        created = setup.apply(parts)
    _emit(as_json, {"created": [line.as_dict() for line in created]}, lambda: _show_plan(created, "created"))


def _show_plan(lines: list[Any], verb: str) -> None:
    if not lines:
        typer.echo("Everything is there; nothing to do.")
    for line in lines:
        typer.echo(f"{line.vendor}: {line.spec.kind} property {line.spec.name!r} {verb} ({line.spec.label})")


@app.command()
def sync(
    config: ConfigFile = DEFAULT_CONFIG,
    full: Annotated[bool, typer.Option("--full", help="read everything again")] = False,
    as_json: AsJson = False,
) -> None:
    """Pull, rescore, write back, enrol: once, then stop."""
    from leadbridge import report
    from sync import cycle

    with _parts(config, worker=True) as parts, report.progress(quiet=as_json) as tell:
        done = cycle.sync(parts, full=full, tell=tell)
    figures = report.figures(done)
    _emit(as_json, figures, lambda: report.show_round(done))
    if done.paused:
        raise typer.Exit(FAILED)
    if figures["in_part"]:
        raise typer.Exit(IN_PART)


@app.command()
def explain(
    email: Annotated[str, typer.Argument(help="the person's address")],
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Show how one person's score comes about. Reads the store only."""
    from leadbridge import report
    from sync import rescore

    with _parts(config) as parts:
        found = rescore.explain(parts.store, parts.scorer, email)
    if found is None:
        typer.echo(f"Nobody with the address {email} is in the store; has `leadbridge sync` run?", err=True)
        raise typer.Exit(FAILED)
    _emit(as_json, found.as_dict(), lambda: report.show_explanation(found))


@app.command()
def status(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Show what is stored and what waits. Reads the store only."""
    from leadbridge import report

    with _parts(config) as parts:
        figures = report.status(parts.store)
    _emit(as_json, figures, lambda: report.show_status(figures))


@app.command()
def run(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Run webhook server and worker, until stopped."""
    from leadbridge import run as embedded

    with _parts(config, worker=True) as parts:
        embedded.run(parts, tell=lambda url: typer.echo(f"leadbridge listens on {url}", err=True))


@app.command()
def migrate(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Bring the store to this version's shape. Repeating changes nothing; killed half-way, it resumes."""
    from leadbridge.store.engine import open_store

    store = open_store(_load(config).store)
    store.migrate()
    store.close()
    typer.echo("The store is up to date.")


@app.command()
def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="port on this machine; 0: any free one")] = 8085,
    people: Annotated[int, typer.Option(min=0, help="how many invented people to start with")] = 500,
    seed: Annotated[int, typer.Option(help="same seed, same people")] = 7,
    data: LeadsFile = None,
    mapping: MappingFile = None,
    limit: Limit = None,
    until_stdin_closes: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Serve stand-ins of HubSpot and Mailchimp, to try things on."""
    _together(data, mapping, limit)
    from leadbridge.sandbox import serve
    from leadbridge.sandbox.leads_file import LeadsFileError

    try:
        serve.serve(
            port=port,
            people_count=people,
            seed=seed,
            data=data,
            mapping=mapping,
            limit=limit,
            until_stdin_closes=until_stdin_closes,
        )
    except LeadsFileError as error:
        if until_stdin_closes:  # the caller reads our output, and tells it in its own time
            typer.echo(json.dumps({"faults": error.faults}))
        else:
            typer.echo(str(error), err=True)
        raise typer.Exit(WRONG_USE) from None


def _together(data: Path | None, mapping: Path | None, limit: int | None) -> None:
    """Refuse one of these options without the others."""
    if (data is None) != (mapping is None):
        typer.echo("--data and --mapping go together: the mapping says what the columns of the file are", err=True)
        raise typer.Exit(WRONG_USE)
    if limit is not None and data is None:
        typer.echo("--limit goes with --data; for invented people there is --people", err=True)
        raise typer.Exit(WRONG_USE)


@app.command()
def demo(
    people: Annotated[int, typer.Option(min=50, help="how many invented people")] = 2000,
    seed: Annotated[int, typer.Option(help="same seed, same people")] = 7,
    data: LeadsFile = None,
    mapping: MappingFile = None,
    limit: Limit = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="configuration to use", exists=True, dir_okay=False, readable=True),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="leave everything running afterwards")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the whole loop on stand-ins. Needs no account.

    Starts stand-ins of HubSpot and Mailchimp on this machine, and touches nothing real.
    """
    _together(data, mapping, limit)
    from leadbridge import demo as show

    try:
        show.demo(
            people=people,
            seed=seed,
            data=data,
            mapping=mapping,
            limit=limit,
            config_file=config,
            keep=keep,
            as_json=as_json,
        )
    except show.WrongLeads as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(WRONG_USE) from None


if __name__ == "__main__":
    main()

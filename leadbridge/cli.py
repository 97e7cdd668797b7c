"""The command line. Every command takes --config; those that print a result take --json.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 done in part. Heavy imports live inside the commands,
so that `leadbridge --help` answers at once.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from leadbridge import __version__
from leadbridge.commands import (
    connect,
    contact,
    export,
    operate,
    predict,
    report,
    score,
    serve,
    setup,
    table,
    teams,
    trial,
    work,
)
from leadbridge.commands.common import FAILED, WRONG_USE
from leadbridge.errors import ConfigError, Fault, LeadbridgeError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Scores CRM leads with reasons, writes the score back, and puts people into the journey that fits them.",
)


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
        typer.echo(f"leadbridge: {str(error).removeprefix('leadbridge: ')}", err=True)
        sys.exit(FAILED)


def _told(file: str, fault: Fault) -> str:
    """A fault as one line, with its place as editors read it."""
    if fault.line:
        return f"{file}:{fault.line}: {fault}"
    whole = fault.where == "the file"
    return f"{file} {fault.problem}" if whole else f"{file}: {fault}"


for command in (
    setup.init,
    setup.check,
    connect.connect,
    setup.plan,
    setup.apply,
    setup.migrate,
    work.sync,
    score.score,
    predict.backtest,
    predict.train,
    export.export,
    work.explain,
    work.status,
    work.count,
    serve.run,
    serve.web,
    serve.worker,
    serve.beat,
    contact.stop,
    contact.resume,
    contact.release,
    contact.coverage,
    contact.suppress,
    contact.objection,
    contact.forget,
    teams.history,
    operate.backup,
    operate.restore,
    operate.reconcile,
    operate.rotate_key,
    operate.purge,
    trial.sandbox,
    trial.demo,
):
    app.command()(command)

app.command("import")(table.import_)
app.add_typer(contact.ledger, name="enrolments")
app.add_typer(operate.quarantine, name="quarantine")
for of_both in (teams.unanswered, teams.segments, teams.cycle):
    report.app.command()(of_both)
app.add_typer(report.app, name="report")

if __name__ == "__main__":
    main()

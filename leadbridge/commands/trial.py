"""To try things on, without any account."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from leadbridge.commands.common import (
    WRONG_USE,
    AsJson,
    Crm,
    LeadsFile,
    Limit,
    MappingFile,
)


def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="port on this machine; 0: any free one")] = 8085,
    people: Annotated[int, typer.Option(min=0, help="how many invented people to start with")] = 500,
    seed: Annotated[int, typer.Option(help="same seed, same people")] = 7,
    data: LeadsFile = None,
    mapping: MappingFile = None,
    limit: Limit = None,
    crm: Annotated[Crm, typer.Option(help="the CRM that keeps the people")] = Crm.HUBSPOT,
    until_stdin_closes: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Serve stand-ins of HubSpot, Salesforce and Mailchimp, to try things on.

    On a terminal it says what to write into a leadbridge.yaml to point it at them.
    """
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
            crm=crm.value,
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

"""The first consent: somebody of the account lets the app in."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from leadbridge.commands.common import DEFAULT_CONFIG, AsJson, ConfigFile, emit, parts_of

PORT = 8976


class Vendor(StrEnum):
    """Where an app is let in by consent."""

    HUBSPOT = "hubspot"
    MAILCHIMP = "mailchimp"


def connect(
    vendor: Annotated[Vendor, typer.Argument(help="whose account to be let into")],
    config: ConfigFile = DEFAULT_CONFIG,
    port: Annotated[int, typer.Option(help="of this machine, which the page leads back to")] = PORT,
    redirect: Annotated[
        str | None, typer.Option(help="address the page leads back to instead; then you paste what it became")
    ] = None,
    wait: Annotated[float, typer.Option(min=1, help="seconds to wait for the answer")] = 300,
    as_json: AsJson = False,
) -> None:
    """Ask somebody of the account to let leadbridge in (OAuth), and keep what is granted, sealed, in the store.

    The app must know the redirect address: http://localhost:8976/leadbridge (HubSpot) or
    http://127.0.0.1:8976/leadbridge (Mailchimp), with your --port, or the one of --redirect.
    """
    from sync import connect as connecting

    with parts_of(config) as parts:
        asked = connecting.ask(parts, vendor.value, redirect, port)
        if redirect is None:
            with connecting.listen(asked) as server:
                _show(asked.address)
                code = connecting.wait_for(asked, server, wait)
        else:
            _show(asked.address)
            answer = typer.prompt("The whole address that it led to", err=True)
            found = asked.code_in(answer)
            if found is None:
                raise connecting.ConnectError(f"{vendor.value}: that is not the answer to this asking; begin anew")
            code = found
        account = connecting.finish(parts, asked, code)
    emit(
        as_json,
        {"vendor": vendor.value, "account": account},
        lambda: typer.echo(f"leadbridge is connected to {vendor.value} account {account}."),
    )


def _show(address: str) -> None:
    typer.echo(f"Open this page and let leadbridge in:\n{address}", err=True)

"""What commands share: options, the loading of a configuration, exit codes, the printing of a result."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from leadbridge.config.schema import Config
    from sync.wiring import Parts

FAILED, WRONG_USE, IN_PART = 1, 2, 3
"""Exit codes, beside 0: done."""

HIGHEST_ID = 2**63 - 1
"""Of a row: what the databases hold."""

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


class Crm(StrEnum):
    """Which CRM, where a command can do with each."""

    HUBSPOT = "hubspot"
    SALESFORCE = "salesforce"
    BOTH = "both"


DEFAULT_CONFIG = Path("leadbridge.yaml")


def load(path: Path) -> Config:
    from leadbridge.config.load import load

    return load(path)


@contextmanager
def parts_of(path: Path, *, worker: bool = False) -> Iterator[Parts]:
    """Working parts for one command; as a worker, the only one on an embedded store."""
    from sync import wiring

    parts = wiring.build(load(path))
    try:
        if worker:
            with wiring.sole_worker(parts):
                yield parts
        else:
            yield parts
    finally:
        parts.close()


def operator() -> str:
    """Who gives the command, for the audit: the name this machine knows them by."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        return "unknown"


def instant(option: str, given: str | None) -> datetime | None:
    """An instant as people write it; without a zone it is UTC, a day is its beginning."""
    if given is None:
        return None
    try:
        found = datetime.fromisoformat(given)
    except ValueError:
        typer.echo(f"{option} {given}: is no day or instant; write 2026-03-01 or 2026-03-01T14:30+01:00", err=True)
        raise typer.Exit(WRONG_USE) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def emit(as_json: bool, figures: dict[str, Any], show: Callable[[], None]) -> None:
    if as_json:
        typer.echo(json.dumps(figures, default=str, ensure_ascii=False))
    else:
        show()

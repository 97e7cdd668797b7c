"""The rule sets scores were computed with, by content hash: a score can always be explained by its own."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from leadbridge.store.rows import upsert
from leadbridge.store.tables import models


@dataclass(frozen=True, slots=True)
class StoredModel:
    """One rule set as it was."""

    hash: str
    name: str
    body: str
    at: datetime  # first used


def remember_model(tx: Connection, hash: str, name: str, body: str, now: datetime) -> None:  # noqa: A002 - its name
    """Keep a model; one that is kept already stays as it is."""
    upsert(tx, models, [{"hash": hash, "name": name, "body": body, "at": now}], key=["hash"])


def model(tx: Connection, hash: str) -> StoredModel | None:  # noqa: A002 - its name
    """The model of this hash; None when never kept."""
    row = tx.execute(select(models).where(models.c.hash == hash)).first()
    return None if row is None else StoredModel(row.hash, row.name, row.body, row.at)

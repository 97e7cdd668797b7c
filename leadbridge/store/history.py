"""What was known of people at a past instant.

The row in `persons` holds since `valid_from`; whenever it is about to change, what it held goes into the history
beside the instant from which it was true. The instants are the CRM's own (when a record was last modified), as far as
it tells, so that what we learned late counts from when it was so.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, literal, select

from leadbridge.store.engine import among
from leadbridge.store.tables import attribute_history as history
from leadbridge.store.tables import persons, stage_history
from leadbridge.types import LifecycleStage, Value


@dataclass(frozen=True, slots=True)
class Known:
    """What was known of one person at an instant, and since when it was so."""

    email: str | None
    attributes: Mapping[str, Value]
    opted_out: bool
    since: datetime


_KEPT = ("email", "attributes", "opted_out")


def remember(tx: Connection, person_ids: Collection[int], now: datetime) -> None:
    """Keep what these people's rows hold, before it changes. Of whom nothing is known yet, there is nothing to keep."""
    columns = persons.c
    held = select(
        columns.id, columns.valid_from, literal(now, history.c.until.type), *(columns[name] for name in _KEPT)
    ).where(among(tx, columns.id, sorted(person_ids)), columns.valid_from.is_not(None))
    tx.execute(history.insert().from_select(["person_id", "at", "until", *_KEPT], held))


def known_at(tx: Connection, person_ids: Collection[int], at: datetime) -> dict[int, Known]:
    """What was known of these people at `at`; of whom nothing was known by then, they are left out."""
    ids = sorted(set(person_ids))
    now = select(persons).where(among(tx, persons.c.id, ids), persons.c.valid_from <= at)
    found = {row.id: _known(row, row.valid_from) for row in tx.execute(now)}
    earlier = [person for person in ids if person not in found]
    newest = (
        select(history.c.person_id, func.max(history.c.at).label("at"))
        .where(among(tx, history.c.person_id, earlier), history.c.at <= at)
        .group_by(history.c.person_id)
        .subquery()
    )
    rows = select(history).join(
        newest, (history.c.person_id == newest.c.person_id) & (history.c.at == newest.c.at)
    )  # fmt: skip
    for row in tx.execute(rows.order_by(history.c.id)):  # of two from one instant, the later word
        found[row.person_id] = _known(row, row.at)
    return found


def _known(row: Row[Any], since: datetime) -> Known:
    return Known(row.email, row.attributes, row.opted_out, since)


def stages_at(tx: Connection, person_ids: Collection[int], at: datetime) -> dict[int, tuple[LifecycleStage, datetime]]:
    """The stage these people were in at `at`, and since when; who was in none is left out."""
    query = (
        select(stage_history.c.person_id, stage_history.c.stage, stage_history.c.at)
        .where(among(tx, stage_history.c.person_id, sorted(set(person_ids))), stage_history.c.at <= at)
        .order_by(stage_history.c.id)
    )
    found: dict[int, tuple[LifecycleStage, datetime]] = {}
    for person, stage, since in tx.execute(query):
        if not stage:
            found.pop(person, None)
        elif person not in found or found[person][0] != stage:
            found[person] = LifecycleStage(stage), since
    return found

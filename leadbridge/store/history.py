"""What was known of people at a past instant.

The row in `persons` holds since `valid_from`; whenever it is about to change, what it held goes into the history
beside the instant from which it was true. The instants are the CRM's own (when a record was last modified), as far as
it tells, so that what we learned late counts from when it was so.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, literal, select

from leadbridge.store.engine import among
from leadbridge.store.rows import insert_all, update_each
from leadbridge.store.tables import attribute_history as history
from leadbridge.store.tables import persons, stage_history
from leadbridge.types import LifecycleStage, Past, Value


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


def bring(tx: Connection, told: Sequence[tuple[int, Sequence[Past], bool]], now: datetime) -> None:
    """Store what records held before we first read them: of each record its person, its past, and is it new to us?

    Before anything was known of the person, the past of their record is what was known. Later it fills what nobody
    told, for a record new to us only: what became of one that we knew was stored as it happened. Repeating changes
    nothing. To be called when the person as it is now has been saved.
    """
    told = [one for one in told if one[1]]
    if not told:
        return
    ids, columns = sorted({person for person, _, _ in told}), persons.c
    dated = select(columns.id, columns.valid_from).where(among(tx, columns.id, ids), columns.valid_from.is_not(None))
    until = {row.id: row.valid_from for row in tx.execute(dated)}
    held: dict[int, dict[datetime, Past]] = defaultdict(dict)
    places: dict[tuple[int, datetime], int] = {}
    rows = select(history).where(among(tx, history.c.person_id, ids)).order_by(history.c.at, history.c.id)
    for row in tx.execute(rows):  # of two from one instant, the later word
        if row.person_id in until and row.at < until[row.person_id]:
            held[row.person_id][row.at] = Past(row.at, row.email, row.attributes, row.opted_out)
            places[row.person_id, row.at] = row.id
    before = {person: dict(line) for person, line in held.items()}
    for person, past, new in told:
        if person in until:
            held[person] = _woven(held[person], past, until[person], new=new)
    news = [
        (person, one)
        for person, line in held.items()
        for one in line.values()
        if before.get(person, {}).get(one.at) != one
    ]
    fills = [{"id": places[person, one.at], **_cells(one)} for person, one in news if (person, one.at) in places]
    update_each(tx, history, fills, key=["id"])
    insert_all(
        tx,
        history,
        [
            {"person_id": person, "at": one.at, "until": now, **_cells(one)}
            for person, one in news
            if (person, one.at) not in places
        ],
    )


def _woven(held: Mapping[datetime, Past], past: Sequence[Past], until: datetime, *, new: bool) -> dict[datetime, Past]:
    """What was known of a person with the past of one of their records in it, by instant, rising."""
    first = min(held, default=until)
    before, after = sorted(held.values(), key=_at), sorted(past, key=_at)
    points = {one.at for one in after if one.at < (until if new else first)}
    found: dict[datetime, Past] = {}
    for at in sorted(points | held.keys()):
        known, was = _last(before, at), _last(after, at) if new or at < first else None
        if known and was:
            holes = {name: value for name, value in was.attributes.items() if known.attributes.get(name) is None}
            known = Past(at, known.email or was.email, {**known.attributes, **holes}, known.opted_out or was.opted_out)
        if one := known or was:
            found[at] = one
    return found


def _at(one: Past) -> datetime:
    return one.at


def _last(line: Sequence[Past], at: datetime) -> Past | None:
    place = bisect_right(line, at, key=_at)
    return line[place - 1] if place else None


def _cells(one: Past) -> dict[str, Any]:
    return {"email": one.email, "attributes": one.attributes, "opted_out": one.opted_out}


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

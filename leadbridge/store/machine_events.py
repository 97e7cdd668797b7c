"""Opens and clicks that machines made, told from those of people as activities are stored (`leadbridge.machines`).

The verdict is the kind of the activity; the evidence stands in its attributes. What decides about an event may be
stored before or after it, so events are judged again, in the same transaction, when something near them is stored.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, Text, bindparam, or_, select, type_coerce, update

from leadbridge.machines import (
    ARRIVES,
    BY_PERSON,
    EVIDENCE,
    MADE_BY_MACHINE,
    OF_MAIL,
    TRACKED,
    MailEvent,
    event,
    evidence,
    pairs,
)
from leadbridge.store.columns import from_json
from leadbridge.store.engine import among, machine_networks
from leadbridge.store.rows import in_pieces
from leadbridge.store.tables import activities
from leadbridge.store.text import clean_key
from leadbridge.types import Activity, ActivityKind

BY_SOURCE = "its source says so"
"""Reason for an event that came marked."""

_ROWS = 5_000  # that are Python objects at one time

NEAR = 2 * ARRIVES
"""No evidence about an event is further from it than this, but for pages seen long before."""

SPELLS = 16
"""In so many stretches of time new activities are judged at most: each costs a look at the store."""


def marked(tx: Connection, rows: Sequence[Activity]) -> list[Activity]:
    """The same, with what these rows by themselves show to be machines' marked so."""
    mine: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        if row.kind in OF_MAIL:
            mine[row.subject].append(place)
    found, networks = list(rows), machine_networks(tx)
    for places in mine.values():
        events = [_event(rows[place]) for place in places]
        for place, told in evidence(events, (), networks).items():
            row = rows[places[place]]
            if row.kind in MADE_BY_MACHINE:
                attributes = {**row.attributes, EVIDENCE: told}
                found[places[place]] = replace(row, kind=MADE_BY_MACHINE[row.kind], attributes=attributes)
    return found


def judge_again(tx: Connection, new: Sequence[Activity], owner: Mapping[str, int]) -> None:
    """Judge what is stored near these new activities: of their subjects' owners, and of subjects nobody has yet."""
    for rows in _spells([row for row in new if row.kind in OF_MAIL or row.kind is ActivityKind.PAGE_VIEW]):
        keys = {clean_key(row.subject) for row in rows}
        subjects = {clean_key(row.subject) for row in rows if row.kind in OF_MAIL}
        _judge(tx, {owner[key] for key in keys if key in owner}, subjects, rows[0].at, rows[-1].at)


def _spells(rows: Sequence[Activity]) -> Iterator[Sequence[Activity]]:
    """The rows in order of time, cut where nothing happened for longest: what is between is not read for nothing."""
    rows = sorted(rows, key=lambda row: row.at)
    gaps = sorted(((after.at - row.at, n) for n, (row, after) in enumerate(pairwise(rows), 1)), reverse=True)
    cuts = sorted(n for gap, n in gaps[: SPELLS - 1] if gap > 4 * NEAR)
    yield from (rows[begin:end] for begin, end in pairwise([0, *cuts, len(rows)]) if begin < end)


def _judge(tx: Connection, people: Collection[int], subjects: Collection[str], low: datetime, high: datetime) -> None:
    groups = _stored(tx, people, subjects, low, high)
    undecided = [person for person, rows in groups.items() if isinstance(person, int) and pairs(_events(rows))]
    pages, networks = _pages(tx, undecided, low, high), machine_networks(tx)
    changed = [
        change
        for person, rows in groups.items()
        for change in _changes(rows, pages.get(person, ()), networks, low, high)
    ]
    if changed:
        tx.execute(
            update(activities)
            .where(activities.c.id == bindparam("of"))
            .values(kind=bindparam("as_kind"), attributes=bindparam("told", type_=activities.c.attributes.type)),
            changed,
        )


@dataclass(slots=True)
class Told:
    """What machines did, all told: events by kind and reason, and whom they were taken for."""

    events: Counter[tuple[ActivityKind, str]] = field(default_factory=Counter)
    people: set[int] = field(default_factory=set)


def told(tx: Connection) -> Told:
    """Everything stored that machines made; a few rows at a time."""
    found = Told()
    by_machines = or_(*(activities.c.kind == kind for kind in sorted(BY_PERSON)))  # a list could not be read in pieces
    query = select(activities.c.person_id, activities.c.kind, type_coerce(activities.c.attributes, Text))
    query = query.where(by_machines)
    for rows in in_pieces(tx, query, _ROWS):
        for person, kind, text in rows:
            words = str(from_json(text).get(EVIDENCE, BY_SOURCE))
            found.events[ActivityKind(kind), words.partition(":")[0]] += 1
            if person is not None:
                found.people.add(person)
    return found


@dataclass(frozen=True, slots=True)
class _Stored:
    id: int
    kind: ActivityKind
    attributes: Mapping[str, Any]
    event: MailEvent


def _stored(
    tx: Connection, people: Collection[int], subjects: Collection[str], low: datetime, high: datetime
) -> dict[int | str, list[_Stored]]:
    """Events of mail about this time, by person, or by subject where nobody has it yet."""
    columns = activities.c
    query = (
        select(columns.id, columns.person_id, columns.subject, columns.kind, columns.at, columns.source,
               columns.attributes)
        .where(columns.kind.in_(sorted(OF_MAIL)), columns.at.between(low - 2 * NEAR, high + 2 * NEAR))
        .order_by(columns.at, columns.id)
    )  # fmt: skip
    known = query.where(among(tx, columns.person_id, sorted(people)))
    strangers = query.where(columns.person_id.is_(None), among(tx, columns.subject, sorted(subjects)))
    # Not in one query: with "or" no index would serve both the person and the time.
    asked = [one for one, whose in ((known, people), (strangers, subjects)) if whose]
    found: dict[int | str, list[_Stored]] = defaultdict(list)
    for row in (row for one in asked for row in tx.execute(one)):
        kind = ActivityKind(row.kind)
        owner = row.subject if row.person_id is None else row.person_id
        found[owner].append(_Stored(row.id, kind, row.attributes, event(kind, row.at, row.source, row.attributes)))
    return found


def _pages(tx: Connection, people: Sequence[int], low: datetime, high: datetime) -> dict[int | str, list[datetime]]:
    """When these people viewed pages."""
    found: dict[int | str, list[datetime]] = defaultdict(list)
    if people:
        query = (
            select(activities.c.person_id, activities.c.at)
            .where(among(tx, activities.c.person_id, sorted(people)), activities.c.kind == ActivityKind.PAGE_VIEW)
            .where(activities.c.at.between(low - TRACKED - 2 * NEAR, high + 2 * NEAR))
            .order_by(activities.c.at)
        )
        for row in tx.execute(query):
            found[row.person_id].append(row.at)
    return found


def _changes(
    rows: Sequence[_Stored], pages: Sequence[datetime], networks: tuple[str, ...], low: datetime, high: datetime
) -> Iterator[dict[str, Any]]:
    """Rows whose verdict is another now; those at the edge are left: what decides about them may not be here."""
    told = evidence(_events(rows), pages, networks)
    for place, row in enumerate(rows):
        if not low - NEAR <= row.event.at <= high + NEAR or row.event.kind not in MADE_BY_MACHINE:
            continue
        if row.kind not in MADE_BY_MACHINE and EVIDENCE not in row.attributes:
            continue  # its source said so itself
        kind = MADE_BY_MACHINE[row.event.kind] if place in told else row.event.kind
        if kind is not row.kind:
            kept = {name: value for name, value in row.attributes.items() if name != EVIDENCE}
            yield {"of": row.id, "as_kind": kind, "told": kept | ({EVIDENCE: told[place]} if place in told else {})}


def _events(rows: Sequence[_Stored]) -> list[MailEvent]:
    return [row.event for row in rows]


def _event(row: Activity) -> MailEvent:
    return event(row.kind, row.at, row.source, row.attributes)

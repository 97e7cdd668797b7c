"""What people did: append-only, unique by (source, source id); whether a person or a machine did
it may be judged anew (`machine_events`).

An activity whose subject nobody has a key for yet is kept as an orphan. `leads.link_keys` adopts orphans as it links
keys; `adopt(tx)` without keys is the sweep for those that slipped in beside it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Text, select, type_coerce, update

from leadbridge import machines
from leadbridge.store import machine_events
from leadbridge.store.columns import from_json
from leadbridge.store.engine import among
from leadbridge.store.rows import tuples, upsert
from leadbridge.store.tables import activities, activity_changes, person_keys, persons
from leadbridge.store.text import clean_key, from_micros
from leadbridge.types import Activity, ActivityKind

OF_OTHERS = frozenset({ActivityKind.EMAIL_SENT, ActivityKind.EMAIL_BOUNCED, ActivityKind.TASK, *machines.BY_PERSON})
"""What others, machines among them, do about a person."""


@dataclass(frozen=True, slots=True)
class Added:
    """What `add_activities` did."""

    people: set[int]  # who has done something new
    new: int  # stored now, orphans included
    repeated: int  # stored before
    orphans: int  # new, and nobody's yet


@dataclass(frozen=True)
class ActivityRows:
    """Activities as columns of equal length, ordered by person, instant, id."""

    person_id: list[int]
    kind: list[str]
    micros: list[int]  # microseconds since 1970, UTC
    raw: list[str]  # attributes as JSON text
    id: list[int]

    @cached_property
    def at(self) -> list[datetime]:
        return [from_micros(micros) for micros in self.micros]

    @cached_property
    def documents(self) -> tuple[list[int], list[dict[str, Any]]]:
        """The attributes by code: row i has those of code codes[i]. Each distinct text is read once."""
        code: dict[str, int] = {}
        codes = [code.setdefault(text, len(code)) for text in self.raw]
        return codes, from_json(f"[{','.join(code)}]")

    @cached_property
    def attributes(self) -> list[dict[str, Any]]:
        codes, documents = self.documents
        return [documents[code] for code in codes]

    def __len__(self) -> int:
        return len(self.id)


def add_activities(tx: Connection, rows: Sequence[Activity], now: datetime) -> Added:
    """Store activities; what is stored already is left as it is, and counted.

    Opens and clicks that machines made become activities of another kind, which no rule counts that does not name it.
    So may ones stored before, or be given back to the person: always of people who have something new.
    """
    unique = {(row.source, row.source_id): row for row in machine_events.marked(tx, rows)}
    keys = sorted({row.subject for row in rows})
    owned = select(person_keys.c.key, person_keys.c.person_id).where(among(tx, person_keys.c.key, keys))
    owner = dict(tx.execute(owned).all())
    stored = upsert(
        tx,
        activities,
        [
            {
                "person_id": owner.get(clean_key(row.subject)),
                "subject": row.subject,
                "kind": row.kind,
                "at": row.at,
                "source": row.source,
                "source_id": row.source_id,
                "attributes": row.attributes,
                "stored_at": now,
            }
            for _, row in sorted(unique.items())
        ],
        key=["source", "source_id"],
        returning=[activities.c.person_id],
    )
    people = [row.person_id for row in stored]
    gained = set(people) - {None}
    note_changes(tx, gained)
    machine_events.judge_again(
        tx, list(unique.values()), {key: person for key, person in owner.items() if person in gained}
    )
    return Added(gained, len(people), len(rows) - len(people), people.count(None))


def note_changes(tx: Connection, person_ids: Collection[int]) -> None:
    """The activities of these people changed: what is packed of them (`packs`) is out of date.

    Whoever adds, moves or deletes activities says so in the same transaction. Each note grows the person's version, so
    that a pack made beside it from what was there before does not take the note away.
    """
    rows = [{"person_id": person, "version": 1} for person in sorted(person_ids)]
    upsert(
        tx,
        activity_changes,
        rows,
        key=["person_id"],
        change=lambda _new: {"version": activity_changes.c.version + 1},
    )


def noted_changes(tx: Connection, person_ids: Collection[int]) -> dict[int, int]:
    """Versions of the notes there are of these people."""
    query = select(activity_changes.c.person_id, activity_changes.c.version)
    return dict(tuples(tx, query.where(among(tx, activity_changes.c.person_id, sorted(person_ids)))))


def adopt(tx: Connection, keys: Collection[str] | None = None) -> set[int]:
    """Give orphans whose subject now has an owner to that person; returns who gained some.

    Of these keys, or, without keys, of all: the sweep.
    """
    owner = select(person_keys.c.person_id).where(person_keys.c.key == activities.c.subject).scalar_subquery()
    among_keys = select(person_keys.c.key)
    if keys is not None:
        among_keys = among_keys.where(among(tx, person_keys.c.key, sorted(keys)))
    adopted = tx.execute(
        update(activities)
        .where(activities.c.person_id.is_(None), activities.c.subject.in_(among_keys))
        .values(person_id=owner)
        .returning(activities.c.person_id)
    )
    gained = set(adopted.scalars())
    note_changes(tx, gained)
    return gained


def only_of(tx: Connection, person_ids: Collection[int], kinds: Collection[ActivityKind]) -> set[int]:
    """Those of these people who did something, and nothing but activities of these kinds.

    What happens to a person (`OF_OTHERS`) is nothing they did.
    """
    few = among(tx, persons.c.id, sorted(set(person_ids)))
    return {person for (person,) in tuples(tx, select(persons.c.id).where(few, *_only(frozenset(kinds))))}


@lru_cache(8)
def _only(kinds: frozenset[ActivityKind]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Of persons: did nothing but these, and did one of these. The first activity that is found answers."""
    kind = activities.c.kind

    def did(what: ColumnElement[bool]) -> ColumnElement[bool]:
        return select(activities.c.id).where(activities.c.person_id == persons.c.id, what).exists()

    return ~did(kind.not_in(sorted(kinds | OF_OTHERS))), did(kind.in_(sorted(kinds - OF_OTHERS)))


def activities_of(tx: Connection, person_ids: Sequence[int], since: datetime | None = None) -> ActivityRows:
    """Activities of these people, from `since` on (inclusive). Built for bulk: attributes are read when asked for."""
    columns = activities.c
    query = (
        select(
            columns.person_id,
            columns.kind,
            type_coerce(columns.at, BigInteger),
            type_coerce(columns.attributes, Text),
            columns.id,
        )
        .where(among(tx, columns.person_id, sorted(set(person_ids))))
        .order_by(columns.person_id, columns.at, columns.id)
    )
    if since is not None:
        query = query.where(columns.at >= since)
    found = tuples(tx, query)
    people, kinds, at, raw, ids = map(list, zip(*found, strict=True)) if found else ([], [], [], [], [])
    return ActivityRows(people, kinds, at, raw, ids)

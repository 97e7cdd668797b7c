"""Two people turn out to be one."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Table, delete, func, select, update

from leadbridge.store import audit, consents, enrolments, hand_offs, history
from leadbridge.store.activities import note_changes
from leadbridge.store.due import Lane, mark_due
from leadbridge.store.engine import among, exclusive
from leadbridge.store.rows import update_each, upsert
from leadbridge.store.scores import colleagues
from leadbridge.store.tables import (
    FREE,
    activities,
    alerts,
    attribute_history,
    due,
    holdouts,
    objections,
    offers,
    person_keys,
    persons,
    records,
    score_history,
    scores,
    stage_history,
    standings,
    suppressed_people,
    write_backs,
)
from leadbridge.store.tables import enrolments as ledger
from leadbridge.types import EnrolmentState, LifecycleStage, SuppressionReason

IDENTITY = "identity"
"""Name under which those who decide who is who wait for each other (`engine.exclusive`)."""

_MOVED_AS_THEY_ARE = (person_keys, records, activities, write_backs, score_history, stage_history,
                      attribute_history, alerts)  # fmt: skip


def merge_people(tx: Connection, keep: int, lose: int, now: datetime) -> None:
    """Make `lose` part of `keep`; `lose` is no more. Everything moves, and the stricter of each two counts: nobody
    becomes contactable by a merge (reliability G20, pattern 8). The person is marked due; attributes are to be united
    and saved by the caller.

    An enrolment of both in one entry of one journey: the more advanced keeps the entry, the other is kept under the
    next free one. What still waits on one side is cancelled when the other has been contacted, or waits too: it was
    decided about half a person, and the due mark decides anew. Versions only grow, so no older write-back wins (G18).
    Raises ValueError when the two are the same or one does not exist.
    """
    if keep == lose:
        raise ValueError("a person cannot be merged with itself")
    exclusive(tx, IDENTITY)
    both = tx.execute(select(persons).where(persons.c.id.in_([keep, lose])).order_by(persons.c.id).with_for_update())
    rows = {row.id: row for row in both}
    if len(rows) != 2:
        raise ValueError(f"cannot merge person {lose} into {keep}: {', '.join(map(str, {keep, lose} - set(rows)))} is "
                         "not there (any more)")  # fmt: skip
    moved_records = tx.execute(
        select(records.c.vendor, records.c.object_type, records.c.record_id).where(records.c.person_id == lose)
    ).all()
    history.remember(tx, [lose], now)
    others = colleagues(tx, [keep, lose])  # what their company comes to is another now
    for table in _MOVED_AS_THEY_ARE:
        tx.execute(update(table).where(table.c.person_id == lose).values(person_id=keep))
    note_changes(tx, [keep, lose])
    for table in (suppressed_people, holdouts, objections):
        _merge_notes(tx, table, keep, lose)
    _merge_offers(tx, keep, lose)
    consents.merge(tx, keep, lose)
    _merge_scores(tx, keep, lose)
    _merge_standings(tx, keep, lose)
    _merge_enrolments(tx, keep, lose, now)
    hand_offs.merge(tx, keep, lose, now)
    tx.execute(delete(due).where(due.c.person_id == lose))
    tx.execute(delete(persons).where(persons.c.id == lose))
    opted_out = rows[keep].opted_out or rows[lose].opted_out
    tx.execute(
        update(persons)
        .where(persons.c.id == keep)
        .values(
            opted_out=opted_out,
            created_at=min(rows[keep].created_at, rows[lose].created_at),
            inputs_hash="",
            changed_at=now,
        )
    )
    left = tx.execute(select(suppressed_people.c.reason).where(suppressed_people.c.person_id == keep)).first()
    if opted_out or left:
        enrolments.cancel_waiting(tx, [keep], "merged with somebody who may not be contacted", now)
    mark_due(tx, [keep], now, Lane.NORMAL)
    mark_due(tx, others, now, Lane.BACKGROUND)
    audit.note(
        tx,
        "leadbridge",
        "people merged",
        {"kept": keep, "merged": lose, "records": [":".join(row) for row in moved_records]},
        now,
    )


def _taken(tx: Connection, table: Table, lose: int) -> list[Row[Any]]:
    return list(tx.execute(delete(table).where(table.c.person_id == lose).returning(table)).all())


def go_over(tx: Connection, of: Collection[int], person: int, keys: Collection[str], now: datetime) -> None:
    """A record of each of these people, known by these keys, is to be part of `person`, who may be the same human:
    whatever keeps them from being contacted keeps `person` from it too (reliability G20), and no write-back of theirs
    wins on that record (G18). What was told of the record itself goes with it, and counts for nobody else any more;
    what was told of an address stays with whoever has the address.
    """
    told = among(tx, activities.c.subject, sorted(keys))
    tx.execute(update(activities).where(activities.c.person_id.in_(of), told).values(person_id=person))
    note_changes(tx, {*of, person})
    for table in (suppressed_people, holdouts, objections):
        rows = tx.execute(select(table).where(table.c.person_id.in_(of)))
        _copy_notes(tx, table, rows.all(), person)
    numbers = [select(func.coalesce(func.sum(table.c.version), 0)).where(table.c.person_id.in_(of))
               for table in (scores, standings)]  # fmt: skip
    version = sum(tx.execute(number).scalar_one() for number in numbers)
    blank = {"person_id": person, "segments": [], "reasons": {}, "at": FREE, "version": version}
    upsert(tx, standings, [blank], key=["person_id"], change=lambda new: {"version": standings.c.version + new.version})
    left = select(persons.c.id).where(persons.c.id.in_(of), persons.c.opted_out)
    if tx.execute(left.limit(1)).first() is not None:
        note = {"person_id": person, "reason": SuppressionReason.UNSUBSCRIBED.value, "source": "crm", "at": now}
        upsert(tx, suppressed_people, [note], key=["person_id", "reason"])


def _copy_notes(tx: Connection, table: Table, rows: Sequence[Row[Any]], person: int) -> None:
    upsert(
        tx,
        table,
        list({tuple(row)[1:]: {**row._mapping, "person_id": person} for row in rows}.values()),
        key=[column.name for column in table.primary_key],
    )


def _merge_notes(tx: Connection, table: Table, keep: int, lose: int) -> None:
    """What either has, both have: suppressions, hold-outs, objections."""
    _copy_notes(tx, table, _taken(tx, table, lose), keep)


def _merge_offers(tx: Connection, keep: int, lose: int) -> None:
    """What either was offered, both were: nothing is offered to one person twice."""
    upsert(
        tx,
        offers,
        [{**row._mapping, "person_id": keep} for row in _taken(tx, offers, lose)],
        key=["person_id", "asset"],
        change=lambda new: {
            name: func.coalesce(offers.c[name], new[name]) for name in ("journey", "offered_at", "used_at")
        },
    )


def _merge_scores(tx: Connection, keep: int, lose: int) -> None:
    upsert(
        tx,
        scores,
        [{**row._mapping, "person_id": keep} for row in _taken(tx, scores, lose)],
        key=["person_id", "name"],
        change=lambda new: {"version": scores.c.version + new.version},
    )


def _merge_standings(tx: Connection, keep: int, lose: int) -> None:
    """The further stage stays: what was handed to sales is not handed over again."""
    for theirs in _taken(tx, standings, lose):
        ours = tx.execute(select(standings).where(standings.c.person_id == keep)).first()
        further = theirs if ours is None or _rank(theirs.stage) > _rank(ours.stage) else ours
        version = theirs.version + (ours.version if ours else 0)
        tx.execute(delete(standings).where(standings.c.person_id == keep))
        tx.execute(standings.insert().values({**further._mapping, "person_id": keep, "version": version}))


def _rank(stage: str | None) -> int:
    return LifecycleStage(stage).rank if stage else -1


def _merge_enrolments(tx: Connection, keep: int, lose: int, now: datetime) -> None:
    rows = tx.execute(
        select(ledger).where(ledger.c.person_id.in_([keep, lose])).order_by(ledger.c.id).with_for_update()
    ).all()
    entries: dict[tuple[str, int], list[Row[Any]]] = defaultdict(list)
    highest: dict[str, int] = defaultdict(int)
    for row in rows:
        entries[row.journey, row.entry].append(row)
        highest[row.journey] = max(highest[row.journey], row.entry)
    doubled = []
    for (journey, _), found in entries.items():
        by_advance = sorted(found, key=lambda row: (enrolments.ADVANCE.index(row.state), row.person_id == keep))
        for lesser in by_advance[:-1]:
            highest[journey] += 1
            doubled.append({"id": lesser.id, "entry": highest[journey]})
    update_each(tx, ledger, doubled, key=["id"])
    tx.execute(update(ledger).where(ledger.c.person_id == lose).values(person_id=keep))
    ended = {row["id"] for row in doubled}

    def having(person: int, states: Collection[EnrolmentState]) -> set[int]:
        return {row.id for row in rows if row.person_id == person and row.state in states and row.id not in ended}

    contacted = {person: any(row.person_id == person and row.state in enrolments.CONTACT for row in rows)
                 for person in (keep, lose)}  # fmt: skip
    ours, theirs = having(keep, enrolments.WAITING), having(lose, enrolments.WAITING)
    if contacted[lose]:
        ended |= ours
    if contacted[keep] or ours:
        ended |= theirs
    enrolments.cancel_rows(tx, ended, "decided before two people were found to be one", now)

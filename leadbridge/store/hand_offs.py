"""People handed over to people: one row for each time, from the decision to how it ended (reliability patterns 2, 4).

A row is `waiting` for room at a receiver, then `open`, then `closed` with its outcome. The wish for the task in the CRM
and the alerts commit with the row, and are worked afterwards; the row's key finds an earlier task again, so that a
repeat makes no second one.
"""

import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from leadbridge.store.engine import among
from leadbridge.store.leases import UNHELD, claim_rows, held_ids
from leadbridge.store.rows import update_each, upsert
from leadbridge.store.tables import hand_offs

WAITING, OPEN, CLOSED = "waiting", "open", "closed"
LIVE = (WAITING, OPEN)

NO_TASK, WANTED, MADE, REFUSED = "none", "wanted", "made", "refused"
"""What became of the task in the CRM."""

WON, REJECTED, LOST, GIVEN_UP, WITHDRAWN, DONE = "won", "rejected", "lost", "given_up", "withdrawn", "done"
"""How it ended. Withdrawn: nobody was told yet, or two people turned out to be one. Done: care was given."""

LEASE = 60
"""Seconds a claim lasts: by then a task that a killed worker made can be found at the CRM, and is not made again."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A person to hand over."""

    person_id: int
    rule: str
    fits: tuple[str, ...]  # routes that take the person, in order
    score: int | None = None
    task: bool = True


@dataclass(frozen=True, slots=True)
class HandOff:
    """One row. `token` is good for moving it only when the row came from a claim."""

    id: int
    person_id: int
    rule: str
    entry: int
    key: str
    state: str
    score: int | None
    fits: tuple[str, ...]
    route: str | None
    decided_at: datetime
    opened_at: datetime | None
    task: str
    task_vendor: str | None
    task_id: str | None
    accepted_at: datetime | None
    touched_at: datetime | None
    touched_by: str | None
    breached_at: datetime | None
    raised: int
    closed_at: datetime | None
    outcome: str | None
    reason: str | None
    rest_until: datetime | None
    again_at: datetime | None
    words: str
    attempts: int
    due_at: datetime
    token: int

    def stands(self, at: datetime) -> str | None:
        """Where it stood then, as conditions see it (fact `hand_off`): waiting, open, accepted, touched, or its end.
        None once it is over and the person may be handed over again."""

        def by_then(instant: datetime | None) -> bool:
            return instant is not None and instant <= at

        if by_then(self.closed_at):
            return self.outcome if self.again_at is not None and at < self.again_at else None
        if not by_then(self.opened_at):
            return WAITING
        return "touched" if by_then(self.touched_at) else "accepted" if by_then(self.accepted_at) else OPEN


@dataclass(frozen=True, slots=True)
class Ending:
    """How one hand-off ends."""

    id: int
    outcome: str
    reason: str | None = None
    rest_until: datetime | None = None
    again_at: datetime | None = None
    words: str = ""


def wish(tx: Connection, rows: Sequence[Wish], now: datetime) -> set[int]:
    """Write down who is to be handed over; returns the people for whom it is new.

    Who waits or is with somebody by the same rule is left alone: one row lives per person and rule.
    """
    known = latest(tx, {row.person_id for row in rows})
    fresh = {
        (row.person_id, row.rule): row
        for row in rows
        if (last := known.get((row.person_id, row.rule))) is None or last.state == CLOSED
    }
    made = upsert(
        tx,
        hand_offs,
        [
            {
                "person_id": row.person_id,
                "rule": row.rule,
                "entry": known[place].entry + 1 if place in known else 1,
                "key": secrets.token_hex(8),
                "state": WAITING,
                "score": row.score,
                "fits": list(row.fits),
                "decided_at": now,
                "task": WANTED if row.task else NO_TASK,
                "due_at": now,
            }
            for place, row in sorted(fresh.items())
        ],
        key=["person_id", "rule", "entry"],
        returning=[hand_offs.c.person_id],
    )
    return {row.person_id for row in made}


def latest(tx: Connection, person_ids: Collection[int]) -> dict[tuple[int, str], HandOff]:
    """The newest row of each of these people, by person and rule."""
    query = select(hand_offs).where(among(tx, hand_offs.c.person_id, sorted(set(person_ids))))
    return {(row.person_id, row.rule): _row(row) for row in tx.execute(query.order_by(hand_offs.c.entry))}


def close(tx: Connection, endings: Sequence[Ending], now: datetime) -> None:
    """End hand-offs, whoever works on them: their holders' tokens are worth nothing afterwards. Ended ones stay."""
    live = select(hand_offs).where(among(tx, hand_offs.c.id, sorted(row.id for row in endings)))
    token = {
        row.id: row.lease_token
        for row in tx.execute(
            live.where(hand_offs.c.state.in_(LIVE)).order_by(hand_offs.c.id).with_for_update()
        )
    }  # fmt: skip
    update_each(
        tx,
        hand_offs,
        [
            {
                "id": row.id,
                "state": CLOSED,
                "outcome": row.outcome,
                "reason": row.reason,
                "closed_at": now,
                "rest_until": row.rest_until,
                "again_at": row.again_at,
                "words": row.words,
                "lease_token": token[row.id] + 1,
                **UNHELD,
            }
            for row in endings
            if row.id in token
        ],
        key=["id"],
    )


def busy(tx: Connection, person_ids: Collection[int], rules: Collection[str], now: datetime) -> dict[int, str]:
    """Who of these is with somebody by one of these rules, or rests after it, and in which words (for nurture)."""
    found: dict[int, str] = {}
    for (person, rule), row in latest(tx, person_ids).items():
        if rule not in rules:
            continue
        if row.state == OPEN:
            found[person] = f"with {row.route or 'sales'} since the hand-off"
        elif row.rest_until is not None and now < row.rest_until:
            found[person] = f"left in peace after the hand-off ended ({row.outcome})"
    return found


def accept(tx: Connection, ids: Collection[int], now: datetime) -> None:
    """The CRM shows that these open ones were taken on."""
    which = (among(tx, hand_offs.c.id, sorted(ids)), hand_offs.c.state == OPEN, hand_offs.c.accepted_at.is_(None))
    tx.execute(update(hand_offs).where(*which).values(accepted_at=now))


def standing(
    tx: Connection, person_ids: Collection[int], rule: str, at: datetime
) -> dict[int, tuple[str, str | None, str | None]]:
    """(where it stood then, the reason it ended, who received it) of those who had something that counted, as
    conditions see it."""
    query = select(hand_offs).where(
        among(tx, hand_offs.c.person_id, sorted(set(person_ids))),
        hand_offs.c.rule == rule,
        hand_offs.c.decided_at <= at,
    )
    newest = {row.person_id: _row(row) for row in tx.execute(query.order_by(hand_offs.c.entry))}
    return {
        person: (
            where,
            row.reason if row.closed_at is not None and row.closed_at <= at else None,
            row.route if row.opened_at is not None and row.opened_at <= at else None,
        )
        for person, row in newest.items()
        if (where := row.stands(at)) is not None
    }


# --- to a receiver -------------------------------------------------------------------------------------------------


def waiting(tx: Connection, rule: str, limit: int) -> list[HandOff]:
    """Who waits by this rule: highest score first, then longest."""
    query = select(hand_offs).where(hand_offs.c.state == WAITING, hand_offs.c.rule == rule)
    order = (func.coalesce(hand_offs.c.score, -1).desc(), hand_offs.c.decided_at, hand_offs.c.id)
    return [_row(row) for row in tx.execute(query.order_by(*order).limit(limit))]


def opened_since(tx: Connection, rule: str, instant: datetime) -> dict[str, int]:
    """How many went to each route of this rule after the instant."""
    query = (
        select(hand_offs.c.route, func.count())
        .where(hand_offs.c.rule == rule, hand_offs.c.opened_at > instant)
        .group_by(hand_offs.c.route)
    )
    return dict(tx.execute(query).all())


def open_rows(tx: Connection, rows: Sequence[tuple[int, str]], now: datetime) -> None:
    """Give these waiting rows to a route each; their tasks are wished for from now on."""
    update_each(
        tx,
        hand_offs,
        [{"id": one, "state": OPEN, "route": route, "opened_at": now, "due_at": now} for one, route in rows],
        key=["id"],
    )


# --- the task, and what comes after ----------------------------------------------------------------------------------


def claim_tasks(tx: Connection, *, limit: int, owner: str, now: datetime) -> list[HandOff]:
    """Claim open rows whose task is still to be made and due."""
    return _claim(tx, [hand_offs.c.task == WANTED], limit=limit, owner=owner, now=now)


def claim_untouched(tx: Connection, *, limit: int, owner: str, now: datetime) -> list[HandOff]:
    """Claim open rows whose task is settled and that are due to be looked at."""
    return _claim(tx, [hand_offs.c.task != WANTED], limit=limit, owner=owner, now=now)


def _claim(tx: Connection, which: Sequence[Any], *, limit: int, owner: str, now: datetime) -> list[HandOff]:
    rows = claim_rows(
        tx,
        hand_offs,
        [hand_offs.c.state == OPEN, hand_offs.c.due_at <= now, *which],
        [hand_offs.c.due_at, hand_offs.c.id],
        limit=limit,
        owner=owner,
        seconds=LEASE,
        now=now,
    )
    return [_row(row) for row in rows]


def settle(tx: Connection, changes: Sequence[tuple[HandOff, Mapping[str, Any]]]) -> set[int]:
    """Set columns of claimed rows and let them go; returns the ids of those still held. The others are left alone.

    Every change names the same columns.
    """
    held = held_ids(tx, hand_offs, [row for row, _ in changes])
    update_each(
        tx,
        hand_offs,
        [{"id": row.id, **values, **UNHELD} for row, values in changes if row.id in held],
        key=["id"],
    )
    return held


# --- two people turn out to be one ------------------------------------------------------------------------------------


def merge(tx: Connection, keep: int, lose: int, now: datetime) -> None:
    """All of `lose` becomes `keep`'s. Of two that live by one rule the further stays, so that nobody is told twice."""
    query = select(hand_offs).where(hand_offs.c.person_id.in_([keep, lose])).order_by(hand_offs.c.id).with_for_update()
    rows = [_row(row) for row in tx.execute(query)]
    order = (OPEN, WAITING)
    for rule in sorted({row.rule for row in rows}):
        ours = [row for row in rows if row.rule == rule]
        live = sorted((row for row in ours if row.state in LIVE), key=lambda row: (order.index(row.state), row.id))
        close(tx, [Ending(row.id, WITHDRAWN, words="two people were found to be one") for row in live[1:]], now)
        entry = max((row.entry for row in ours if row.person_id == keep), default=0)
        moved = [row for row in ours if row.person_id == lose]
        # The newest entry is the one that counts: what lives stays last.
        moved.sort(key=lambda row: (row in live[:1], row.id))
        changes = [{"id": row.id, "person_id": keep, "entry": entry + n} for n, row in enumerate(moved, 1)]
        stays = next((row for row in live[:1] if row.person_id == keep and moved), None)
        if stays is not None:
            changes.append({"id": stays.id, "person_id": keep, "entry": entry + len(moved) + 1})
        for change in changes:
            tx.execute(update(hand_offs).where(hand_offs.c.id == change["id"]).values(change))


# --- reading ---------------------------------------------------------------------------------------------------------


def since(tx: Connection, instant: datetime) -> Iterator[HandOff]:
    """Every row decided at or after the instant, or open, oldest first; read in portions."""
    after = 0
    while True:
        query = select(hand_offs).where(hand_offs.c.id > after).where(
            (hand_offs.c.decided_at >= instant) | hand_offs.c.state.in_(LIVE)
        )  # fmt: skip
        rows = tx.execute(query.order_by(hand_offs.c.id).limit(1000)).all()
        if not rows:
            return
        yield from map(_row, rows)
        after = rows[-1].id


def of_person(tx: Connection, person_id: int) -> list[HandOff]:
    """Every row of one person, oldest first."""
    query = select(hand_offs).where(hand_offs.c.person_id == person_id).order_by(hand_offs.c.id)
    return [_row(row) for row in tx.execute(query)]


def oldest_due(tx: Connection, now: datetime) -> datetime | None:
    """Since when the longest waiting task is due; None when none is (reliability G14)."""
    wanted = (hand_offs.c.state == OPEN, hand_offs.c.task == WANTED, hand_offs.c.due_at <= now)
    return tx.execute(select(func.min(hand_offs.c.due_at)).where(*wanted)).scalar()


def _row(row: Row[Any]) -> HandOff:
    return HandOff(
        row.id, row.person_id, row.rule, row.entry, row.key, row.state, row.score, tuple(row.fits), row.route,
        row.decided_at, row.opened_at, row.task, row.task_vendor, row.task_id, row.accepted_at, row.touched_at,
        row.touched_by, row.breached_at, row.raised, row.closed_at, row.outcome, row.reason, row.rest_until,
        row.again_at, row.words, row.attempts, row.due_at, row.lease_token,
    )  # fmt: skip

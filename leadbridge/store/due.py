"""Who has to be looked at: the table of due work is the queue, everything else a doorbell (reliability pattern 3).

A person is due at most once. Each mark bumps the row's version, so that a mark made while a worker is at it is not
settled away with the work that did not see it.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any

from sqlalchemy import BigInteger, Connection, Row, case, delete, func, select, type_coerce, update

from leadbridge.store.engine import among, database_now
from leadbridge.store.leases import SECONDS, SUSPECT, UNHELD, claim_rows, held_ids, renew_rows
from leadbridge.store.rows import tuples, upsert
from leadbridge.store.tables import due


class Lane(IntEnum):
    """Which due work goes first."""

    HOT = 0  # somebody did something just now
    NORMAL = 1
    BACKGROUND = 2  # nothing new is known of the person, only time went by
    BACKFILL = 3  # everybody anew: a pass


@dataclass(frozen=True, slots=True)
class Claim:
    """One due person, claimed."""

    person_id: int
    version: int
    token: int
    lane: Lane = Lane.NORMAL
    attempts: int = 1  # this claim included, since anything last came of one

    @property
    def id(self) -> int:
        return self.person_id


def mark_due(tx: Connection, person_ids: Iterable[int], at: datetime, lane: int = Lane.NORMAL) -> None:
    """Have these people looked at, at `at`. Marked twice, the earlier instant and the more urgent lane count.

    To set the next look while settling a claim, settle first and mark then: the mark makes a new row.
    """
    mark_due_each(tx, dict.fromkeys(person_ids, at), lane)


def mark_due_each(tx: Connection, at: Mapping[int, datetime], lane: int = Lane.NORMAL) -> None:
    """The same, for each person an instant of their own."""
    people = sorted(at)
    if not people:
        return
    shared = {"lane": [int(lane)] * len(people), "version": [1] * len(people)}
    upsert(
        tx,
        due,
        {"person_id": people, "due_at": [at[person] for person in people], **shared},
        key=["person_id"],
        change=lambda new: {
            "version": due.c.version + 1,
            "due_at": case((new.due_at < due.c.due_at, new.due_at), else_=due.c.due_at),
            "lane": case((new.lane < due.c.lane, new.lane), else_=due.c.lane),
        },
    )


def claim_due(
    tx: Connection,
    *,
    limit: int,
    owner: str,
    lanes: Sequence[Lane] = tuple(Lane),
    lease_seconds: float = SECONDS,
    now: datetime | None = None,
) -> list[Claim]:
    """Claim up to `limit` people who are due: by lane, then longest due first. A dead lease is claimed again.

    Whoever was claimed by workers that died comes last of all lanes and alone, so that somebody who cannot be scored
    without the process ending takes nobody along. `now` stands in for the database's clock. Commit before working, so
    that others see the claim.
    """
    now = now or database_now(tx)
    claims: list[Claim] = []
    for lane in lanes:
        if limit > len(claims):
            rows = claim_rows(
                tx, due, [due.c.lane == int(lane), due.c.due_at <= now, due.c.attempts < SUSPECT],
                [due.c.due_at, due.c.person_id],
                limit=limit - len(claims), owner=owner, seconds=lease_seconds, now=now,
            )  # fmt: skip
            claims += map(_claim, rows)
    if not claims and limit and set(lanes) == set(Lane):
        alone = claim_rows(
            tx, due, [due.c.due_at <= now, due.c.attempts >= SUSPECT], [due.c.attempts, due.c.due_at],
            limit=1, owner=owner, seconds=lease_seconds, now=now,
        )  # fmt: skip
        claims += map(_claim, alone)
    return claims


def _claim(row: Row[Any]) -> Claim:
    return Claim(row.person_id, row.version, row.lease_token, Lane(row.lane), row.attempts)


def standing(tx: Connection, person_ids: Collection[int]) -> dict[int, tuple[int, int]]:
    """(version, when in microseconds since 1970) of the due rows of these people: what `seize` compares with."""
    query = select(due.c.person_id, due.c.version, type_coerce(due.c.due_at, BigInteger))
    rows = tuples(tx, query.where(among(tx, due.c.person_id, sorted(person_ids))))
    return {person: (version, at) for person, version, at in rows}


def quiet(tx: Connection, person_ids: Collection[int]) -> frozenset[int]:
    """Those of these people of whom nothing new is known: they are not due, or only because time has passed."""
    told = select(due.c.person_id).where(
        among(tx, due.c.person_id, sorted(person_ids)), due.c.lane < int(Lane.BACKGROUND)
    )
    return frozenset(person_ids).difference(tx.execute(told).scalars())


def seize(tx: Connection, before: Mapping[int, tuple[int, int] | None]) -> list[Claim]:
    """Claim people, due or not, until the transaction ends that stores work on them.

    `before` says how their due rows stood (`standing`; None: no row) when the work was begun. Left out is whoever was
    marked since, or is held by another: they are looked at anyway. Whoever is marked from here on stays due.
    """
    people = sorted(before)
    there = standing(tx, people)
    same = [person for person in people if there.get(person) == before[person]]
    query = select(due.c.person_id, due.c.version, type_coerce(due.c.due_at, BigInteger), due.c.lease_token, due.c.lane)
    asked = [person for person in same if person in there]
    free = query.where(among(tx, due.c.person_id, asked), due.c.lease_until <= database_now(tx))
    rows = tuples(tx, free.order_by(due.c.person_id).with_for_update(skip_locked=True)) if asked else []
    claims = [Claim(person, 0, _NO_ROW, Lane.BACKFILL) for person in same if person not in there]
    claims += [
        Claim(person, version, token, Lane(lane))
        for person, version, at, token, lane in rows
        if (version, at) == before[person]
    ]
    return claims


_NO_ROW = -1
"""Token of a claim on somebody who was not due: there is nothing to settle."""


def still_held(tx: Connection, claims: Sequence[Claim]) -> list[Claim]:
    """Those of the claims nobody has taken over. First in the transaction that stores the work, it fences the rest:
    on PostgreSQL the rows stay locked until the transaction ends, on SQLite no one else writes anyway."""
    stored = [claim for claim in claims if claim.token != _NO_ROW]
    ids = held_ids(tx, due, stored) if stored else set()
    return [claim for claim in claims if claim.person_id in ids or claim.token == _NO_ROW]


def settle_due(tx: Connection, claims: Sequence[Claim]) -> None:
    """The work is done: these are no longer due. Who was marked meanwhile stays due, and free to be claimed."""
    by_claim = defaultdict(list)
    for claim in still_held(tx, [claim for claim in claims if claim.token != _NO_ROW]):
        by_claim[claim.token, claim.version].append(claim.person_id)
    for (token, version), people in by_claim.items():
        mine = (among(tx, due.c.person_id, people), due.c.lease_token == token)
        tx.execute(delete(due).where(*mine, due.c.version == version))
        tx.execute(update(due).where(*mine).values(UNHELD | {"attempts": 0}))


def release_due(tx: Connection, claims: Sequence[Claim], at: datetime | None = None) -> None:
    """Give claims back undone; they are due again at once, or at `at`."""
    people = [claim.person_id for claim in still_held(tx, claims)]
    tx.execute(
        update(due)
        .where(among(tx, due.c.person_id, people))
        .values(UNHELD | {"attempts": 0} | ({"due_at": at} if at else {}))
    )


def renew(tx: Connection, claims: Sequence[Claim], lease_seconds: float = SECONDS) -> list[Claim]:
    """Prolong claims; returns those still held."""
    ids = renew_rows(tx, due, claims, lease_seconds)
    return [claim for claim in claims if claim.person_id in ids]


def due_people(tx: Connection, now: datetime, *, after: int = 0, limit: int = 500) -> list[int]:
    """People who are due now, claimed ones included, with ids above `after`, in order of id. Claims nobody."""
    query = select(due.c.person_id).where(due.c.due_at <= now, due.c.person_id > after)
    return list(tx.execute(query.order_by(due.c.person_id).limit(limit)).scalars())


def due_count(tx: Connection) -> int:
    """How many people are due now, claimed ones included."""
    return tx.execute(select(func.count()).select_from(due).where(due.c.due_at <= database_now(tx))).scalar_one()


def oldest_due(tx: Connection, *lanes: Lane) -> datetime | None:
    """Since when the longest waiting person of these lanes (none: of all) is due; None when nobody is (G14)."""
    now = database_now(tx)
    oldest = (
        tx.execute(select(func.min(due.c.due_at)).where(due.c.lane == int(lane), due.c.due_at <= now)).scalar()
        for lane in lanes or Lane
    )
    return min((at for at in oldest if at), default=None)

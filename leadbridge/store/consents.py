"""What people agreed to, and what they objected to. Recorded as it was given; nothing here raises anything (G21)."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select, update

from leadbridge.store.engine import among
from leadbridge.store.rows import upsert
from leadbridge.store.tables import consents, objections, score_history


@dataclass(frozen=True, slots=True)
class Consent:
    """One person's agreement to marketing mail: where it was given, to which words, and when."""

    person_id: int
    source: str
    wording: str
    at: datetime


def record(tx: Connection, given: Iterable[Consent]) -> int:
    """Note consents; the same one twice is one. Returns how many were new."""
    rows = {(one.person_id, _digest(one)): one for one in given}
    return len(
        upsert(
            tx,
            consents,
            [
                {"person_id": person, "source": one.source, "wording": one.wording, "at": one.at, "digest": digest}
                for (person, digest), one in sorted(rows.items())
            ],
            key=["person_id", "digest"],
            returning=[consents.c.id],
        )
    )


def withdraw(tx: Connection, person_ids: Collection[int]) -> list[Consent]:
    """Nothing these people agreed to counts any more; returns what it was, for the audit."""
    gone = delete(consents).where(among(tx, consents.c.person_id, sorted(set(person_ids))))
    rows = tx.execute(gone.returning(consents.c.person_id, consents.c.source, consents.c.wording, consents.c.at))
    return [Consent(row.person_id, row.source, row.wording, row.at) for row in rows]


def _digest(one: Consent) -> str:
    return hashlib.sha256(f"{one.source}\0{one.wording}\0{one.at.isoformat()}".encode()).hexdigest()


def of(tx: Connection, person_ids: Collection[int]) -> dict[int, list[Consent]]:
    """Every recorded consent of these people, by person, newest first."""
    query = select(consents).where(among(tx, consents.c.person_id, sorted(set(person_ids))))
    found: dict[int, list[Consent]] = defaultdict(list)
    for row in tx.execute(query.order_by(consents.c.at.desc(), consents.c.id.desc())):
        found[row.person_id].append(Consent(row.person_id, row.source, row.wording, row.at))
    return dict(found)


# --- objection to profiling (GDPR Art. 21): not scored, not ranked, still served --------------------------------------


def object_to_profiling(tx: Connection, person_ids: Collection[int], source: str, now: datetime) -> set[int]:
    """These people object to profiling; returns who is new. Their scores of the past are erased at once; the current
    one ends as they are looked at next: mark them due."""
    rows = [{"person_id": person, "source": source, "at": now} for person in sorted(set(person_ids))]
    new = {row.person_id for row in upsert(tx, objections, rows, key=["person_id"], returning=[objections.c.person_id])}
    tx.execute(delete(score_history).where(among(tx, score_history.c.person_id, sorted(new))))
    return new


def withdraw_objection(tx: Connection, person_ids: Collection[int]) -> set[int]:
    """These people object no more; returns who did."""
    gone = delete(objections).where(among(tx, objections.c.person_id, sorted(set(person_ids))))
    return set(tx.execute(gone.returning(objections.c.person_id)).scalars())


def objecting(tx: Connection, person_ids: Collection[int]) -> set[int]:
    """Those of these people who object to profiling."""
    query = select(objections.c.person_id).where(among(tx, objections.c.person_id, sorted(set(person_ids))))
    return set(tx.execute(query).scalars())


def merge(tx: Connection, keep: int, lose: int) -> None:
    """What `lose` agreed to, `keep` agreed to; what both have is kept once."""
    both = select(consents.c.digest).where(consents.c.person_id == keep)
    tx.execute(delete(consents).where(consents.c.person_id == lose, consents.c.digest.in_(both.scalar_subquery())))
    tx.execute(update(consents).where(consents.c.person_id == lose).values(person_id=keep))

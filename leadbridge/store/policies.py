"""What decides who is contacted, by its content: a changed one starts as a canary until it is released (G23)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, exists, func, select, update

from leadbridge.store import audit
from leadbridge.store.rows import upsert
from leadbridge.store.tables import enrolments, policies


@dataclass(frozen=True, slots=True)
class Policy:
    """One state of rules, thresholds and journeys. `released_at` is None while it is a canary."""

    digest: str
    began_at: datetime
    released_at: datetime | None
    released_by: str | None


def put_in_force(tx: Connection, digest: str, now: datetime) -> Policy:
    """This policy decides from now on; returns it. Nothing changes when it does so already.

    The first one under which anybody is contacted has nothing to be compared with and is released from the start; so
    is one that was released before and comes back.
    """
    current = in_force(tx)
    if current is not None and current.digest == digest:
        return current
    # Should the clock have been put back: the one decided last is in force, whenever the others say they began.
    later = update(policies).where(policies.c.began_at >= now)
    tx.execute(later.values(began_at=now - timedelta(microseconds=1)))
    contacted = tx.execute(select(exists().where(enrolments.c.called_at.is_not(None)))).scalar_one()
    first = {} if contacted else {"released_at": now, "released_by": "nobody contacted before"}
    row = {"digest": digest, "began_at": now, "released_at": None, "released_by": None} | first
    upsert(tx, policies, [row], key=["digest"], change=lambda new: {"began_at": new.began_at})
    audit.note(tx, "leadbridge", "policy changed", {"from": current.digest if current else None, "to": digest}, now)
    return in_force(tx) or Policy(digest, now, None, None)


def in_force(tx: Connection) -> Policy | None:
    """The policy that decides now; None before the first."""
    row = tx.execute(select(policies).order_by(policies.c.began_at.desc(), policies.c.digest).limit(1)).first()
    return None if row is None else Policy(row.digest, row.began_at, row.released_at, row.released_by)


def before(tx: Connection, policy: Policy) -> Policy | None:
    """The policy that this one replaced."""
    row = tx.execute(
        select(policies).where(policies.c.began_at < policy.began_at).order_by(policies.c.began_at.desc()).limit(1)
    ).first()
    return None if row is None else Policy(row.digest, row.began_at, row.released_at, row.released_by)


def release(tx: Connection, digest: str, who: str, now: datetime) -> bool:
    """Nothing holds this policy back any more; False when nothing did. The caller audits, with what was released."""
    waiting = (policies.c.digest == digest) & policies.c.released_at.is_(None)
    return tx.execute(update(policies).where(waiting).values(released_at=now, released_by=who)).rowcount > 0


def contacted_since(tx: Connection, policy: Policy) -> int:
    """How many calls left under this policy."""
    return tx.execute(
        select(func.count()).select_from(enrolments).where(enrolments.c.called_at >= policy.began_at)
    ).scalar_one()

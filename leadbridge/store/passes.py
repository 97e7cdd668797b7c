"""Passes over everybody: which spans of person ids have yet to be gone through. Any worker takes any span.

A span is asked for once however often it is asked; asked for again while somebody is at it, it is gone through again.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, select, update

from leadbridge.store.engine import database_now
from leadbridge.store.leases import SECONDS, SUSPECT, UNHELD, claim_rows, held_ids, renew_rows
from leadbridge.store.packs import span_of
from leadbridge.store.rows import upsert
from leadbridge.store.tables import facts, passes, persons, scores
from leadbridge.store.text import from_micros, to_micros

_RULES = "rules of the last pass"
_JOURNEYS = "journeys everybody was looked at by"


@dataclass(frozen=True, slots=True)
class SpanClaim:
    """One span, claimed."""

    span: int
    asked_at: datetime
    token: int
    attempts: int  # this claim included, since the last that ended by anything but the worker's death

    @property
    def id(self) -> int:
        return self.span


def ask(tx: Connection, now: datetime) -> int:
    """Ask for a pass over everybody there is; returns the number of spans."""
    lowest, highest = tx.execute(select(func.min(persons.c.id), func.max(persons.c.id))).one()
    spans = [] if highest is None else range(span_of(lowest), span_of(highest) + 1)
    latest = tx.execute(select(func.max(passes.c.asked_at))).scalar()
    at = now if latest is None else max(now, from_micros(to_micros(latest) + 1))  # told apart from the last asking
    rows = [{"span": span, "asked_at": at} for span in spans]
    upsert(tx, passes, rows, key=["span"], change=lambda new: {"asked_at": new.asked_at})
    return len(spans)


def ask_for_rules(tx: Connection, rules: str, now: datetime) -> bool:
    """Ask for a pass unless one was asked for under these rules (their digest) last; was one asked for now?

    Before anybody has a score there is nobody to go through: the rules are noted, and everybody is due anyway.
    """
    noted = _note(tx, _RULES, rules) and somebody(tx)
    if noted:
        ask(tx, now)
    return noted


def somebody(tx: Connection) -> bool:
    """Has anybody a score?"""
    return tx.execute(select(scores.c.person_id).limit(1)).first() is not None


def _note(tx: Connection, name: str, value: str) -> bool:
    """Note a digest; was it another than before?"""
    noted = upsert(
        tx,
        facts,
        [{"name": name, "value": value}],
        key=["name"],
        change=lambda new: {"value": new.value},
        only_if=lambda new: facts.c.value != new.value,
        returning=[facts.c.name],
    )
    return bool(noted)


def rules_noted(tx: Connection) -> str | None:
    """Digest of the rules a pass was asked for last."""
    return tx.execute(select(facts.c.value).where(facts.c.name == _RULES)).scalar()


def journeys_noted(tx: Connection) -> str | None:
    """Digest of the journeys by which everybody was asked to be looked at last."""
    return tx.execute(select(facts.c.value).where(facts.c.name == _JOURNEYS)).scalar()


def note_journeys(tx: Connection, journeys: str) -> None:
    """From here on everybody is looked at by these journeys, or marked to be."""
    _note(tx, _JOURNEYS, journeys)


def claim(tx: Connection, owner: str, seconds: float = SECONDS) -> SpanClaim | None:
    """Claim the next span that is free; None when there is none. Commit before working.

    Those at which several workers died come last, so that the rest is gone through whatever ends them.
    """
    rows = claim_rows(
        tx, passes, [], [passes.c.attempts >= SUSPECT, passes.c.asked_at, passes.c.span],
        limit=1, owner=owner, seconds=seconds, now=database_now(tx),
    )  # fmt: skip
    return SpanClaim(rows[0].span, rows[0].asked_at, rows[0].lease_token, rows[0].attempts) if rows else None


def renew(tx: Connection, held: SpanClaim) -> bool:
    """Prolong a claim; False when another has the span now."""
    return bool(renew_rows(tx, passes, [held], SECONDS))


def settle(tx: Connection, held: SpanClaim) -> bool:
    """The span was gone through; False when another has it now. Asked for again meanwhile, it is free to be claimed."""
    if not held_ids(tx, passes, [held]):
        return False
    tx.execute(delete(passes).where(passes.c.span == held.span, passes.c.asked_at == held.asked_at))
    tx.execute(update(passes).where(passes.c.span == held.span).values(UNHELD | {"attempts": 0}))
    return True


def release(tx: Connection, held: SpanClaim) -> None:
    """Give a span back, not gone through to its end: it is free at once."""
    tx.execute(
        update(passes)
        .where(passes.c.span == held.span, passes.c.lease_token == held.token)
        .values(UNHELD | {"attempts": 0})
    )


def remaining(tx: Connection) -> int:
    """How many spans have yet to be gone through, claimed ones included."""
    return tx.execute(select(func.count()).select_from(passes)).scalar_one()

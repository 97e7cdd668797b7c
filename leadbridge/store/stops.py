"""The stop switch: what somebody has told every worker to leave alone (reliability G24). Survives restarts."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select

from leadbridge.store import audit
from leadbridge.store.rows import upsert
from leadbridge.store.tables import stops

CONTACT = "contact"
"""Everything that may cause a mail to a person."""

RESTORED = "contact until reconciled"
"""The same, after a restore: the ledger does not know what came after the backup. Ended by `sync.reconcile` alone."""

AS_OF_BACKUP = "entries unknown before"
"""Stops nothing: since a restore was reconciled, of entries before that instant the ledger knows those of the backup.
Kept for good; whoever is to be put into a journey is asked about first (`sync.since_backup`)."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Who stopped it, why, and since when."""

    who: str
    why: str
    at: datetime

    def __str__(self) -> str:
        return f"stopped by {self.who}" + (f": {self.why}" if self.why else "")


def stop(tx: Connection, name: str, who: str, why: str, now: datetime) -> Stop:
    """Stop it, audited; returns the stop in force. Stopped already: the first stop stays, with its reason."""
    row = {"name": name, "who": who, "why": why, "at": now}
    if upsert(tx, stops, [row], key=["name"], returning=[stops.c.name]):
        audit.note(tx, who, f"{name} stopped", {"why": why}, now)
    return stopped(tx, name) or Stop(who, why, now)


def note_restored(tx: Connection, who: str, now: datetime) -> None:
    """Note that a restore was reconciled now; an earlier note gives way."""
    tx.execute(delete(stops).where(stops.c.name == AS_OF_BACKUP))
    upsert(tx, stops, [{"name": AS_OF_BACKUP, "who": who, "why": "restored", "at": now}], key=["name"])


def resume(tx: Connection, name: str, who: str, now: datetime) -> bool:
    """Let it go on, audited; False when it was not stopped."""
    found = tx.execute(delete(stops).where(stops.c.name == name).returning(stops)).first()
    if found is None:
        return False
    audit.note(tx, who, f"{name} resumed", {"stopped_by": found.who, "why": found.why}, now)
    return True


def stopped(tx: Connection, name: str) -> Stop | None:
    """Is it stopped? Asked right before each act it covers. A restore stops contact too."""
    names = [name, RESTORED] if name == CONTACT else [name]
    row = tx.execute(select(stops).where(stops.c.name.in_(names)).order_by(stops.c.name)).first()
    return None if row is None else Stop(row.who, row.why, row.at)

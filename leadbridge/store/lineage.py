"""Is this still the database we wrote to? (reliability G19)

A standby that took over, or a server that was brought back to an earlier moment, may lack the last commits: a call that
left would be forgotten, and made again. PostgreSQL begins a new timeline each time, which is how it is noticed; what
follows is what follows a restore of ours. A SQLite file that somebody put back cannot be told from the one before.
"""

from datetime import datetime

from sqlalchemy import Connection, delete, select

from leadbridge.store import stops
from leadbridge.store.engine import lineage
from leadbridge.store.rows import upsert
from leadbridge.store.tables import facts

_FACT = "lineage"
WHO = "leadbridge"
WHY = "the database is not the one it was (failover, or restored by its own means): run `leadbridge reconcile`"


def confirm(tx: Connection, now: datetime) -> bool:
    """Stop contact until `reconcile` where the database went back or was replaced; true while it did not.

    Ask in the transaction that claims what is to be called.
    """
    current = lineage(tx)
    if current is None:
        return True
    known = tx.execute(select(facts.c.value).where(facts.c.name == _FACT)).scalar()
    if known == current:
        return True
    upsert(tx, facts, [{"name": _FACT, "value": current}], key=["name"], change=lambda new: {"value": new.value})
    if known is None:
        return True
    stops.stop(tx, stops.RESTORED, WHO, WHY, now)
    return False


def forget(tx: Connection) -> None:
    """The rows come from a backup: where they are now is noted when contact is first looked at."""
    tx.execute(delete(facts).where(facts.c.name == _FACT))

"""What waits for an operator: a token that was revoked, a scope, a property that is gone (reliability G7, G14).

Noted by whoever met it, and over once nobody has met it for a while: work that cannot go on is tried again every
fifteen minutes at least (`retry.LONGEST`), so that there is no need to find out what has been put right.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import Connection

from leadbridge import clock
from leadbridge.store import watermarks
from leadbridge.store.engine import Store

HOLDS = timedelta(minutes=30)
"""How long after it was last met a thing is taken for unsettled."""

FRESH = timedelta(minutes=1)
"""How often it is noted that it is still so."""

_US, _STREAM = "leadbridge", "needs operator"
_MOST = 20


def note(store: Store, problems: Iterable[str]) -> None:
    """These were met now, in words for the operator. Costs a write a minute at most, however many workers meet them."""
    met = set(problems)
    if not met:
        return
    now = clock.now()
    with store.reading() as tx:
        held = watermarks.progress(tx, _US, _STREAM) or {}
        at = watermarks.reached_at(tx, _US, _STREAM)
    if met <= held.keys() and at is not None and now - at < FRESH:
        return
    with store.writing() as tx:
        held = watermarks.progress(tx, _US, _STREAM) or {}
        lasting = {problem: held[problem] for problem in unsettled(tx)}
        lasting |= dict.fromkeys(sorted(met)[:_MOST], now.isoformat())
        watermarks.save_progress(tx, _US, _STREAM, lasting, now)


def unsettled(tx: Connection) -> list[str]:
    """What needs an operator now, in words."""
    held, now = watermarks.progress(tx, _US, _STREAM) or {}, clock.now()
    return sorted(problem for problem, at in held.items() if now - datetime.fromisoformat(at) <= HOLDS)

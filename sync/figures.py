"""How it goes: what waits and since when, what was set aside, what bounds contact. Read off the store, no vendor asked.

One reading for the status command and the metrics, so that both tell the same (reliability G14).
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from leadbridge import clock
from leadbridge.config.schema import Config
from leadbridge.store import alerts, due, enrolments, inbox, outbox, quarantine, ranking, watermarks
from leadbridge.store.engine import Store, running_now
from leadbridge.store.tables import budgets
from sync import accounts, agreement, bounds, day, needs, pull


@dataclass(frozen=True, slots=True)
class Contact:
    """What bounds contact now."""

    allowed: int  # how many may be contacted at once
    why: str  # what sets that bound
    last_hour: int
    last_day: int
    stopped: bool
    canary: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """One moment of the store."""

    at: datetime
    people: int
    contactable: int
    waiting: dict[str, int]  # of each kind of work
    oldest: dict[str, float]  # seconds for which the longest due work of each kind waits
    quarantine: dict[str, int]  # by source
    enrolments: dict[str, int]  # by state
    alerts: dict[str, int]  # by state
    contact: Contact
    read_at: dict[str, datetime]  # when each source was last read: "hubspot.leads"
    needs_operator: list[str]  # what waits for one, in words
    gaps: list[str]  # vendors of which something may have been missed that was not read since
    quiet: dict[str, float]  # seconds for which a vendor wants no call, by limit
    day: dict[str, dict[str, int]]  # by vendor that tells: the day's calls used, their limit, those left to leadbridge

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def read(store: Store, config: Config) -> Figures:
    """The figures now. Raises StoreError."""
    rules = bounds.rules_of(store, config)
    vendors = config.connections.names
    gaps = [vendor for vendor in vendors if pull.gap(store, [vendor])]
    now = clock.now()
    with store.reading() as tx:
        audience = ranking.contactable(tx)
        writes = outbox.oldest_write(tx, vendors)
        oldest = {"inbox": inbox.oldest_pending(tx), "due": due.oldest_due(tx), "writes": writes}
        return Figures(
            at=now,
            people=ranking.people(tx),
            contactable=audience,
            waiting={
                "inbox": inbox.pending(tx),
                "due": due.due_count(tx),
                "writes": sum(outbox.pending_writes(tx, vendor) for vendor in vendors),
            },
            oldest={kind: max(0.0, (now - at).total_seconds()) if at else 0.0 for kind, at in oldest.items()},
            quarantine=quarantine.by_source(tx),
            enrolments={state.value: count for state, count in enrolments.counts(tx).items()},
            alerts=alerts.counts(tx),
            contact=_contact(tx, rules, audience, now),
            read_at={
                f"{one.source}.{one.stream}": one.at
                for one in watermarks.listing(tx)
                if one.source in vendors and one.stream not in (accounts.ACCOUNT, "gap", day.DAY)
            },
            needs_operator=[*needs.unsettled(tx), *agreement.known(tx)],
            gaps=gaps,
            quiet=_quiet(tx),
            day={
                vendor: {"used": one.used, "limit": one.limit, "left": one.left}
                for vendor, one in day.read(tx).items()
                if vendor in vendors
            },
        )


def _contact(tx: Connection, rules: bounds.Rules, audience: int, now: datetime) -> Contact:
    made = bounds.made(tx, rules, audience, now)
    allowed = bounds.allowance(tx, rules, audience, now)
    return Contact(
        allowed.count, allowed.why, made.last_hour, made.last_day, bool(made.stopped), made.canary is not None
    )


def _quiet(tx: Connection) -> dict[str, float]:
    now = running_now(tx)
    rows = tx.execute(select(budgets.c.name, budgets.c.quiet_until).order_by(budgets.c.name))
    return {row.name: max(0.0, (row.quiet_until - now).total_seconds()) for row in rows}

"""Words to people at the company: an outbox. Told at least once, never silently dropped, and nobody waits for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from leadbridge.store.leases import SECONDS, UNHELD, claim_rows, held_ids
from leadbridge.store.rows import update_each, upsert
from leadbridge.store.tables import alerts

WAITING, SENT, FAILED = "waiting", "sent", "failed"
READY, OVERDUE = "ready", "overdue"
"""Kinds: somebody is ready to be spoken to; nobody has spoken to them in time."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. What it says is worked out when it is sent, from what is true then."""

    id: int
    hand_off_id: int
    person_id: int
    kind: str
    round: int
    channel: int  # place in the list of addresses, from 0
    attempts: int
    token: int


def tell(tx: Connection, rows: Sequence[tuple[int, int, str, int, int]], now: datetime) -> None:
    """Wish for alerts: (hand-off, person, kind, round, channel). The same one twice is one (one per crossing, N12)."""
    upsert(
        tx,
        alerts,
        [
            {
                "hand_off_id": hand_off,
                "person_id": person,
                "kind": kind,
                "round": number,
                "channel": channel,
                "state": WAITING,
                "created_at": now,
                "due_at": now,
            }
            for hand_off, person, kind, number, channel in sorted(set(rows))
        ],
        key=["hand_off_id", "kind", "round", "channel"],
    )


def claim(tx: Connection, *, limit: int, owner: str, now: datetime) -> list[Alert]:
    """Claim what is to be told, longest due first."""
    rows = claim_rows(
        tx,
        alerts,
        [alerts.c.state == WAITING, alerts.c.due_at <= now],
        [alerts.c.due_at, alerts.c.id],
        limit=limit,
        owner=owner,
        seconds=SECONDS,
        now=now,
    )
    return [_row(row) for row in rows]


def sent(tx: Connection, rows: Sequence[tuple[Alert, str]], now: datetime) -> None:
    """These were told; the words say where."""
    _settle(tx, [(row, {"state": SENT, "words": words, "sent_at": now, "due_at": now}) for row, words in rows])


def failed(tx: Connection, rows: Sequence[tuple[Alert, str, datetime | None]], now: datetime) -> None:
    """These could not be told: again at the instant, or, without one, set down as failed, for `status` to show."""
    _settle(
        tx,
        [
            (row, {"state": WAITING if again else FAILED, "words": words, "sent_at": None, "due_at": again or now})
            for row, words, again in rows
        ],
    )


def _settle(tx: Connection, changes: Sequence[tuple[Alert, dict[str, Any]]]) -> None:
    held = held_ids(tx, alerts, [row for row, _ in changes])
    update_each(
        tx, alerts, [{"id": row.id, **values, **UNHELD} for row, values in changes if row.id in held], key=["id"]
    )


def counts(tx: Connection) -> dict[str, int]:
    """How many alerts are in each state."""
    found: dict[str, int] = dict(tx.execute(select(alerts.c.state, func.count()).group_by(alerts.c.state)).all())
    return {state: found.get(state, 0) for state in (WAITING, SENT, FAILED)}


def _row(row: Row[Any]) -> Alert:
    return Alert(
        row.id, row.hand_off_id, row.person_id, row.kind, row.round, row.channel, row.attempts, row.lease_token
    )

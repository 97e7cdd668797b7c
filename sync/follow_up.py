"""What becomes of a hand-off: touched in time, raised again, or given up (requirement N14).

A touch is the task done, a call, or a meeting after the hand-off. Who was not touched within the limit is raised again,
a few times; who is touched by nobody for too long goes back to nurture, so that nobody falls out of care.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from connectors.base import Crm
from leadbridge import clock
from leadbridge.config.hand_off import HandOff, Sla
from leadbridge.store import activities as activity_store
from leadbridge.store import alerts as alert_store
from leadbridge.store import due, hand_offs
from leadbridge.store import scores as score_store
from leadbridge.store.engine import Store
from leadbridge.types import ActivityKind, LifecycleStage, PersonId
from nurture.hand_off import HAND_OFF
from sync import alerts
from sync.hand_off import care_of

BATCH = 100

LOOK = timedelta(minutes=5)
"""How often an untouched hand-off is looked at; once touched, daily."""

TOUCHES = {ActivityKind.CALL: "call", ActivityKind.MEETING: "meeting"}

Touch = tuple[datetime, str]
"""When somebody was in touch, and how."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How soon somebody must have been in touch, and what happens otherwise."""

    touch: timedelta
    accept: timedelta | None
    again_every: timedelta
    times: int
    give_up_after: timedelta


def limits_of(config: HandOff, rule: str) -> Limits:
    """The limits of the hand-off, or of one kind of care, which has a touch limit of its own."""
    sla: Sla = config.sla
    touch = sla.touch if rule == HAND_OFF else care_of(config, rule).touch
    accept = sla.accept if rule == HAND_OFF else None
    return Limits(
        timedelta(seconds=touch),
        None if accept is None else timedelta(seconds=accept),
        timedelta(seconds=sla.again_every),
        sla.times,
        timedelta(seconds=sla.give_up_after),
    )


def follow_up(store: Store, config: HandOff, crms: Mapping[str, Crm], *, owner: str) -> int:
    """Look at what is open and due; returns how many were raised. Raises VendorError when tasks cannot be read."""
    raised = 0
    while True:
        now = clock.now()
        with store.writing() as tx:
            claims = hand_offs.claim_untouched(tx, limit=BATCH, owner=owner, now=now)
        if not claims:
            return raised
        touches = _touches(store, crms, claims, now)
        with store.reading() as tx:
            standings = score_store.standings(tx, {row.person_id for row in claims})
        looks = [_look(config, row, touches[row.id], standings.get(row.person_id), now) for row in claims]
        with store.writing() as tx:
            held = hand_offs.settle(tx, [(look.row, look.values) for look in looks])
            mine = [look for look in looks if look.row.id in held]
            wish_alerts(tx, config, [look.row for look in mine if look.late], alert_store.OVERDUE, now)
            hand_offs.close(tx, [look.ending for look in mine if look.ending], now)
            due.mark_due(tx, [look.row.person_id for look in mine if look.moved], now, due.Lane.NORMAL)
        raised += sum(look.late for look in mine)


def wish_alerts(tx: Connection, config: HandOff, rows: Sequence[hand_offs.HandOff], kind: str, now: datetime) -> None:
    """One alert for each row and each place it is told at; the same crossing or round never twice (N12)."""
    alert_store.tell(
        tx,
        [
            (row.id, row.person_id, kind, row.raised, place)
            for row in rows
            for place, _ in enumerate(alerts.channels(config, row.rule, row.route, kind))
        ],
        now,
    )


def _touches(
    store: Store, crms: Mapping[str, Crm], rows: Sequence[hand_offs.HandOff], now: datetime
) -> Mapping[int, list[Touch]]:
    """What somebody at the company did about each after it was handed over, by id, oldest first."""
    found: dict[int, list[Touch]] = {row.id: [] for row in rows}
    begun = min(row.opened_at or now for row in rows)
    with store.reading() as tx:
        acts = activity_store.activities_of(tx, sorted({row.person_id for row in rows}), begun)
    did: dict[PersonId, list[Touch]] = defaultdict(list)
    for place, kind in enumerate(acts.kind):
        if kind in TOUCHES and acts.at[place] <= now:
            did[acts.person_id[place]].append((acts.at[place], TOUCHES[ActivityKind(kind)]))
    for row in rows:
        found[row.id] += [one for one in did[row.person_id] if row.opened_at and one[0] > row.opened_at]
    for vendor, crm in crms.items():
        asked = {row.task_id: row for row in rows if row.task_id and row.task_vendor == vendor}
        states = crm.read_tasks(list(asked)) if asked else {}
        for task_id, state in states.items():
            if state.done_at is not None:
                found[asked[task_id].id].append((state.done_at, "task done"))
    return {one: sorted(many) for one, many in found.items()}


@dataclass(frozen=True, slots=True)
class _Look:
    """What one look found."""

    row: hand_offs.HandOff
    values: dict[str, Any]
    late: bool  # to be raised now
    ending: hand_offs.Ending | None
    moved: bool  # conditions see something else of the person now


def _look(
    config: HandOff,
    row: hand_offs.HandOff,
    touches: Sequence[Touch],
    standing: score_store.Standing | None,
    now: datetime,
) -> _Look:
    limits = limits_of(config, row.rule)
    touched_at, touched_by = (row.touched_at, row.touched_by) if row.touched_at or not touches else touches[0]
    limit = None if touched_at else _next_limit(row, limits)
    late = limit is not None and limit <= now
    values = {
        "touched_at": touched_at,
        "touched_by": touched_by,
        "breached_at": row.breached_at or (limit if late else None),
        "raised": row.raised + late,
        "attempts": 0,
        "due_at": now + (timedelta(days=1) if touched_at else LOOK),
    }
    ending = _ending(row, touches, limits, standing, now)
    return _Look(row, values, late, ending, moved=ending is not None or touched_at != row.touched_at)


def _next_limit(row: hand_offs.HandOff, limits: Limits) -> datetime | None:
    """When an untouched one is to be raised next, which may be over already; None: no more."""
    if row.opened_at is None or row.raised >= limits.times:
        return None
    if row.breached_at is not None:
        return row.breached_at + limits.again_every * row.raised
    soonest = [limits.touch]
    if limits.accept is not None and row.accepted_at is None:
        soonest.append(limits.accept)
    return row.opened_at + min(soonest)


def _ending(
    row: hand_offs.HandOff,
    touches: Sequence[Touch],
    limits: Limits,
    standing: score_store.Standing | None,
    now: datetime,
) -> hand_offs.Ending | None:
    """Care ends with the first touch; a hand-off when nothing happens any more, unless there is an opportunity."""
    if row.rule != HAND_OFF and (touches or row.touched_at):
        return hand_offs.Ending(row.id, hand_offs.DONE)
    last = touches[-1][0] if touches else row.touched_at or row.opened_at or now
    stage = standing.stage if standing else None
    selling = stage is not None and stage.rank >= LifecycleStage.OPPORTUNITY.rank
    if not selling and now - last >= limits.give_up_after:
        return hand_offs.Ending(row.id, hand_offs.GIVEN_UP, words="nobody was in touch for too long")
    return None

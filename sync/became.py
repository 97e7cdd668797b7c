"""What became of people, by all that the store knows: who had reached a goal by an instant, and who did afterwards.

That somebody reached a stage is told by our own history of stages, by the stage the CRM gave them, and, up to
customer, by a purchase, which a deal won is too. What sales sent back has not come about: a rejection takes back the
stages up to SQL that were reached before it. Opportunities and customers are facts of the CRM's, and stand.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import BigInteger, Connection, Text, or_, select, type_coerce

from leadbridge.columns import Mask, micros
from leadbridge.config.measurement import Goal
from leadbridge.store.columns import from_json
from leadbridge.store.hand_offs import REJECTED
from leadbridge.store.rows import in_pieces, tuples
from leadbridge.store.tables import activities, attribute_history, hand_offs, persons, stage_history
from leadbridge.types import ActivityKind, LifecycleStage
from nurture.hand_off import HAND_OFF

_ROWS = 20_000  # of the history that are Python objects at one time

_Ids = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Became:
    """When people reached a goal, and when sales sent them back; in order of person and instant."""

    goal: Goal
    person: _Ids
    at: NDArray[np.int64]  # microseconds since 1970
    reached: Mask  # else: what was reached before was taken back
    sent_back: tuple[tuple[int, int, str], ...]  # (person, instant, reason) of each rejection

    def open(self, ids: _Ids, at: datetime) -> Mask:
        """Who of these could still reach it? A stage is reached once; an activity may be done again."""
        if self.goal.activity is not None:
            return np.ones(len(ids), np.bool_)
        reached, _ = self._last(ids, micros(at))
        return ~reached

    def within(self, ids: _Ids, at: datetime, until: datetime) -> Mask:
        """Who of these reached it after `at` and up to `until`, and had it still then?"""
        reached, when = self._last(ids, micros(until))
        found: Mask = reached & (when > micros(at)) & self.open(ids, at)
        return found

    def sent_back_within(self, ids: _Ids, at: datetime, until: datetime) -> Counter[str]:
        """How many of these sales sent back in that time, by the reason of the last."""
        wanted, begin, end = set(ids.tolist()), micros(at), micros(until)
        reasons = {person: reason for person, when, reason in self.sent_back if begin < when <= end}
        return Counter(reason for person, reason in reasons.items() if person in wanted)

    def _last(self, ids: _Ids, t: int) -> tuple[Mask, NDArray[np.int64]]:
        """Of each person, was the last that happened by then that it was reached, and when was that?"""
        past = np.flatnonzero(self.at <= t)
        person = self.person[past]
        place = np.searchsorted(person, ids, "right") - 1
        row = np.append(past, -1)[place]  # of nobody's, place -1 finds the last
        own = (row >= 0) & (np.append(self.person, -1)[row] == ids)
        return own & np.append(self.reached, False)[row], np.append(self.at, 0)[row]


def became(tx: Connection, goal: Goal) -> Became:
    """When everybody reached this goal, as far as is known now."""
    rejections = _rejections(tx)
    events = [(person, at, True) for person, at in (_did(tx, goal.activity) if goal.activity else _stages(tx, goal))]
    if goal.reaches is not None and goal.reaches.rank <= LifecycleStage.SQL.rank:
        events += [(person, at, False) for person, at, _ in rejections]
    events.sort()
    person, at, reached = zip(*events, strict=True) if events else ((), (), ())
    return Became(
        goal, np.array(person, np.int64), np.array(at, np.int64), np.array(reached, np.bool_), tuple(rejections)
    )


def _did(tx: Connection, kind: str) -> Iterator[tuple[int, int]]:
    when = select(activities.c.person_id, type_coerce(activities.c.at, BigInteger))
    yield from tuples(tx, when.where(activities.c.kind == kind, activities.c.person_id.is_not(None)))


def _stages(tx: Connection, goal: Goal) -> Iterator[tuple[int, int]]:
    first = goal.reaches or LifecycleStage.CUSTOMER
    enough = [stage.value for stage in LifecycleStage if stage.rank >= first.rank]
    ours = select(stage_history.c.person_id, type_coerce(stage_history.c.at, BigInteger))
    yield from tuples(tx, ours.where(stage_history.c.stage.in_(enough)))
    now = select(persons.c.id, type_coerce(persons.c.valid_from, BigInteger))
    yield from tuples(tx, now.where(persons.c.lifecycle_stage.in_(enough), persons.c.valid_from.is_not(None)))
    text = type_coerce(attribute_history.c.attributes, Text)
    told = or_(*(text.contains(f'"lifecycle_stage":"{stage}"', autoescape=True) for stage in enough))
    then = select(attribute_history.c.person_id, type_coerce(attribute_history.c.at, BigInteger), text).where(told)
    for rows in in_pieces(tx, then, _ROWS):
        for person, at, attributes in rows:
            if from_json(attributes).get("lifecycle_stage") in enough:
                yield person, at
    if first.rank <= LifecycleStage.CUSTOMER.rank:
        yield from _did(tx, ActivityKind.PURCHASE)


def _rejections(tx: Connection) -> list[tuple[int, int, str]]:
    columns = hand_offs.c
    query = select(columns.person_id, type_coerce(columns.closed_at, BigInteger), columns.reason).where(
        columns.rule == HAND_OFF, columns.outcome == REJECTED, columns.closed_at.is_not(None)
    )
    return sorted((person, at, reason or "") for person, at, reason in tuples(tx, query))

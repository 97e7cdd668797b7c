"""Facts to lifecycle stage (DESIGN section 7): the first match from the top, with hysteresis. Pure.

A person is in a stage when its `when` holds, or when they are in it already, it has an `until`, and that does not hold
yet. Nor does anybody leave a stage with a `keep_for` before they have been in it that long, except for one above it in
the file. When `when` and `until` both hold, `when` wins: otherwise they would leave and enter at every turn, and each
entry is a hand-off.

Opportunity, customer and evangelist come from the CRM (fact `lifecycle_stage`, in our words). Who is there is never
moved back by a rule, though a rule may move them on (customer to evangelist). While the CRM does not say, someone who
was there stays; once it says an earlier stage, as after a lost opportunity, the rules decide again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from leadbridge.columns import MICROS, Coded, Columns, micros
from leadbridge.conditions import holds
from leadbridge.config.scores import StageRule
from leadbridge.types import LifecycleStage, Value

ORDER = tuple(LifecycleStage)
_RANKS: Mapping[str, int] = {stage: rank for rank, stage in enumerate(ORDER)}
_KEPT = _RANKS[LifecycleStage.OPPORTUNITY]  # from here on, no rule moves a person back
_NONE = -1


@dataclass(frozen=True, slots=True)
class Stay:
    """The stage a person is in, and since when."""

    stage: LifecycleStage
    since: datetime


def cause(before: LifecycleStage | None, now: LifecycleStage | None, facts: Mapping[str, Value]) -> str:
    """Why a person's stage changed, in words: what the CRM says, or the scores that decided. "" for no change."""
    if before is now:
        return ""
    told = ", ".join(f"{name} {value}" for name, value in facts.items() if name != "lifecycle_stage")
    if now is not None and now.rank >= _KEPT and facts.get("lifecycle_stage") == now.value:
        return f"the CRM says {now.value}"
    if now is not None and (before is None or now.rank > before.rank):
        return f"the conditions of {now.value} hold: {told}" if told else f"the conditions of {now.value} hold"
    left = before.value if before is not None else ""
    return f"{left} no longer holds: {told}" if told else f"{left} no longer holds"


def stages(
    rules: Mapping[LifecycleStage, StageRule],
    facts: Columns,
    current: Sequence[Stay | None],
    at: datetime,
) -> list[LifecycleStage | None]:
    """The stage each person should be in; None when no rule says one. `current` is what this function said before.

    `rules` are in the file's order, which decides. Raises ValueError when `current` is not one per person.
    """
    if len(current) != facts.n:
        raise ValueError(f"facts of {facts.n} people, but {len(current)} current stages")
    was = np.array([_NONE if stay is None else _RANKS[stay.stage] for stay in current], np.int8)
    since = np.array([0 if stay is None else micros(stay.since) for stay in current], np.int64)
    found = np.full(facts.n, _NONE, np.int8)
    for stage, rule in reversed(list(rules.items())):  # from the bottom, so that the top is written last
        rank = _RANKS[stage]
        inside = holds(rule.when, facts, at)
        if rule.until is not None:
            inside |= (was == rank) & ~holds(rule.until, facts, at)
        if rule.keep_for is not None:
            inside |= (was == rank) & (micros(at) - since < round(rule.keep_for * MICROS))
        found[inside] = rank
    crm = _stage_in_crm(facts)
    kept = np.where((crm == _NONE) & (was >= _KEPT), was, crm)
    found = np.where(kept >= _KEPT, np.maximum(kept, found), found)
    return [None if rank == _NONE else ORDER[rank] for rank in found.tolist()]


def _stage_in_crm(facts: Columns) -> NDArray[np.int8]:
    column = facts.by_name.get("lifecycle_stage")
    if not isinstance(column, Coded):
        return np.full(facts.n, _NONE, np.int8)
    ranks = [_NONE if reading is None else _RANKS.get(reading[1], _NONE) for reading in column.readings]
    return column.spread(ranks, _NONE).astype(np.int8)

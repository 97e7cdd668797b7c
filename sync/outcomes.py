"""What came of it, read from the store: journeys against who was kept out, the funnel, the hand-off, money.

Reads only. People are compared as they were drawn: everybody whom a journey was decided for, whatever became of the
mail, against everybody who was kept out of it by the same draw, so that nothing but the draw tells the sides apart.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby, pairwise
from statistics import median
from typing import Any

from sqlalchemy import BigInteger, Connection, Row, Select, case, func, literal, null, select, type_coerce, union_all

from leadbridge.config.measurement import Cost, Goal, Measurement
from leadbridge.config.schema import Config
from leadbridge.store import hand_offs
from leadbridge.store.tables import activities, enrolments, holdouts, persons, stage_history
from leadbridge.store.text import to_micros
from leadbridge.types import ActivityKind, EnrolmentState, LifecycleStage, PersonId
from nurture.hand_off import HAND_OFF, propose_threshold
from nurture.measurement import Arm, Uplift, mean_difference, uplift

TREATED, KEPT_OUT = 1, 0

MONTH = timedelta(days=30.436875)
WEEKS = 4


# --- journeys --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VariantOutcome:
    """One variant of a journey, against the first in the file and against who was kept out of all of them."""

    variant: str
    people: Arm
    entered: int
    against_first: Uplift | None  # None for the first itself, and while there is nothing to compare
    against_kept_out: Uplift | None


@dataclass(slots=True)
class JourneyOutcome:
    """One journey against who was kept out of it; only people whose time to succeed is over."""

    journey: str
    treated: Arm
    kept_out: Arm
    entered: int  # of the treated, who really entered
    too_early: int  # whose time to succeed is not over yet
    uplift: Uplift | None
    revenue: tuple[float, float, float] | None  # (low, difference, high) for each person
    spent: float = 0.0
    variants: list[VariantOutcome] = field(default_factory=list)  # in the order of the file

    @property
    def gained(self) -> float | None:
        """Money the journey brought in beyond what would have come anyway, by the best guess."""
        return None if self.revenue is None else self.revenue[1] * self.treated.people

    @property
    def gives_back(self) -> float | None:
        """Money brought in for each unit spent on the journey; None while nothing was spent on it by itself."""
        return None if self.gained is None or not self.spent else self.gained / self.spent


@dataclass(slots=True)
class _Side:
    people: int = 0
    successes: int = 0
    entered: int = 0
    amounts: list[float] = field(default_factory=list)  # above zero, one for each person who spent

    @property
    def arm(self) -> Arm:
        return Arm(self.people, self.successes)

    def add(self, row: Row[Any]) -> None:
        self.people += 1
        self.successes += row.success
        self.entered += row.entered


def journeys(tx: Connection, config: Config, now: datetime) -> list[JourneyOutcome]:
    """Every journey of the configuration, in its order."""
    measurement = config.measurement
    window = round(measurement.goal.within * 1e6)
    drawn = _drawn().subquery("drawn")
    over = to_micros(now) - window
    sides: dict[tuple[str, int], _Side] = defaultdict(_Side)
    forms: dict[tuple[str, str], _Side] = defaultdict(_Side)
    early: Counter[str] = Counter()
    for row in tx.execute(_with_success(drawn, measurement.goal, window)):
        if row.start > over:
            early[row.journey] += 1
            continue
        if row.before:
            continue  # had succeeded already: nothing was left to bring about
        sides[row.journey, row.arm].add(row)
        if row.arm == TREATED:
            forms[row.journey, row.variant].add(row)
    for name, arm, amount in _spent_by_people(tx, drawn, window, over, measurement.amount):
        sides[name, arm].amounts.append(amount)
    found = []
    for journey in config.nurture.journeys:
        treated, kept = sides[journey.name, TREATED], sides[journey.name, KEPT_OUT]
        one, other = treated.arm, kept.arm
        compared = [(variant.name, forms[journey.name, variant.name]) for variant in journey.variants]
        money = mean_difference(treated.amounts, one.people, kept.amounts, other.people, measurement.confidence)
        own = [cost for cost in measurement.costs if cost.journey == journey.name]
        found.append(
            JourneyOutcome(
                journey.name,
                one,
                other,
                treated.entered,
                early[journey.name],
                uplift(one, other, measurement.confidence),
                money,
                spent(own, None, now),
                _variants(compared, other, measurement.confidence),
            )
        )
    return found


def _variants(compared: Sequence[tuple[str, _Side]], kept_out: Arm, confidence: float) -> list[VariantOutcome]:
    """Each beside the first. Of several comparisons all are to hold at once, so each is made surer (Bonferroni)."""
    surer = 1 - (1 - confidence) / max(1, len(compared) - 1)
    return [
        VariantOutcome(
            name,
            side.arm,
            side.entered,
            uplift(side.arm, compared[0][1].arm, surer) if place else None,
            uplift(side.arm, kept_out, confidence),
        )
        for place, (name, side) in enumerate(compared)
    ]


def _drawn() -> Select[Any]:
    """Whom each draw concerned: person, journey, side, when first and in which variant, and whether they entered."""
    done = enrolments.c.state == EnrolmentState.DONE
    all_rows = (
        select(func.min(enrolments.c.id).label("first"), func.max(case((done, 1), else_=0)).label("entered"))
        .group_by(enrolments.c.person_id, enrolments.c.journey)
        .subquery()
    )
    treated = select(
        enrolments.c.person_id,
        enrolments.c.journey,
        literal(TREATED).label("arm"),
        enrolments.c.variant,
        type_coerce(enrolments.c.created_at, BigInteger).label("start"),
        all_rows.c.entered,
    ).join(all_rows, all_rows.c.first == enrolments.c.id)
    kept = select(
        holdouts.c.person_id,
        holdouts.c.journey,
        literal(KEPT_OUT),
        literal(""),
        type_coerce(holdouts.c.at, BigInteger),
        literal(0),
    )
    both = union_all(treated, kept).subquery()
    return select(both)


def _with_success(drawn: Any, goal: Goal, window: int) -> Select[Any]:
    if goal.activity is not None:
        table, reached = activities, activities.c.kind == goal.activity
    else:
        first = goal.reaches or LifecycleStage.CUSTOMER
        enough = [stage.value for stage in LifecycleStage if stage.rank >= first.rank]
        table, reached = stage_history, stage_history.c.stage.in_(enough)
    at = type_coerce(table.c.at, BigInteger)
    mine = select(table.c.id).where(table.c.person_id == drawn.c.person_id, reached)
    after = mine.where(at > drawn.c.start, at <= drawn.c.start + window).exists()
    before = mine.where(at <= drawn.c.start).exists() if goal.activity is None else literal(False)
    return select(
        drawn.c.journey,
        drawn.c.arm,
        drawn.c.variant,
        drawn.c.start,
        drawn.c.entered,
        after.label("success"),
        before.label("before"),
    )


def _spent_by_people(
    tx: Connection, drawn: Any, window: int, over: int, amount: str
) -> Iterator[tuple[str, int, float]]:
    """(journey, side, money) of everybody who bought within their time."""
    at = type_coerce(activities.c.at, BigInteger)
    query = (
        select(drawn.c.journey, drawn.c.arm, drawn.c.person_id, activities.c.attributes)
        .join(activities, activities.c.person_id == drawn.c.person_id)
        .where(activities.c.kind == ActivityKind.PURCHASE, at > drawn.c.start, at <= drawn.c.start + window)
        .where(drawn.c.start <= over)
        .order_by(drawn.c.journey, drawn.c.arm, drawn.c.person_id)
    )
    rows = tx.execute(query)
    for (journey, arm, _), mine in groupby(rows, key=lambda row: (row.journey, row.arm, row.person_id)):
        money = sum(_money(row.attributes.get(amount)) for row in mine)
        if money > 0:
            yield journey, arm, money


def _money(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


# --- the funnel ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class FunnelPart:
    """One part of the funnel: who is there, who ever came, who went on, and how long that took."""

    name: str
    here: int = 0
    reached: int = 0
    went_on: int = 0
    days: float | None = None  # median, of those who went on

    @property
    def conversion(self) -> float | None:
        return self.went_on / self.reached if self.reached else None


@dataclass(slots=True)
class Funnel:
    """The parts from the first on, and how many were in each at the end of the last months."""

    parts: list[FunnelPart]
    over_time: list[tuple[date, list[int]]]


def funnel(tx: Connection, config: Config, now: datetime, months: int = 6) -> Funnel:
    """Read off the history of stages, person by person, in one pass.

    Who is in no stage is a lead, from the day they were known on.
    """
    stages = config.measurement.funnel
    place = {stage: n for n, part in enumerate(stages) for stage in part.stages}
    parts = [FunnelPart(part.name) for part in stages]
    took: list[list[float]] = [[] for _ in stages]
    ends = month_ends(now, months)
    counts = [[0] * len(stages) for _ in ends]
    for path in _lives(tx):
        walked = [(at, place.get(LifecycleStage(stage or LifecycleStage.LEAD))) for at, stage in path if at <= now]
        if not walked:
            continue
        _count_path(walked, parts, took)
        for end, count in zip(ends, counts, strict=True):
            there = [where for at, where in walked if at <= end]
            if there and (last := there[-1]) is not None:
                count[last] += 1
    for part, days in zip(parts, took, strict=True):
        part.days = median(days) if days else None
    return Funnel(parts, [(end.date(), count) for end, count in zip(ends, counts, strict=True)])


def _count_path(path: list[tuple[datetime, int | None]], parts: list[FunnelPart], took: list[list[float]]) -> None:
    last = path[-1][1]
    if last is not None:
        parts[last].here += 1
    first: dict[int, datetime] = {}
    furthest = -1
    for at, where in path:
        if where is not None and where > furthest:
            # Who jumps over a part has been through it: it was reached, and left, at that moment.
            for part in range(furthest + 1 if furthest >= 0 else where, where + 1):
                first[part] = at
            furthest = where
    for part in first:
        parts[part].reached += 1
    for one, following in pairwise(sorted(first)):
        parts[one].went_on += 1
        took[one].append((first[following] - first[one]).total_seconds() / 86400)


def _lives(tx: Connection) -> Iterator[list[tuple[datetime, str | None]]]:
    """Each person's stages, oldest first, from the day they were known; None: in no stage."""
    history = select(stage_history.c.person_id, stage_history.c.at, stage_history.c.stage, stage_history.c.id)
    known = select(persons.c.id.label("person_id"), persons.c.created_at.label("at"), null().label("stage"),
                   literal(0).label("id"))  # fmt: skip
    both = union_all(history, known).subquery()
    rows = tx.execute(
        select(both.c.person_id, both.c.at, both.c.stage)
        .order_by(both.c.person_id, both.c.id != 0, both.c.at, both.c.id)
        .execution_options(yield_per=1000)
    )
    for _, mine in groupby(rows, key=lambda row: row.person_id):
        yield [(row.at, row.stage) for row in mine]


def moves(tx: Connection) -> Iterator[tuple[PersonId, list[tuple[datetime, str | None]]]]:
    """Each person with their stages, oldest first."""
    query = select(stage_history.c.person_id, stage_history.c.at, stage_history.c.stage)
    rows = tx.execute(query.order_by(stage_history.c.person_id, stage_history.c.at, stage_history.c.id))
    for person, mine in groupby(rows, key=lambda row: row.person_id):
        yield person, [(row.at, row.stage) for row in mine]


def month_ends(now: datetime, months: int) -> list[datetime]:
    """The last moments of the months before this one, oldest first, and now."""
    found = [now]
    begin = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for _ in range(months):
        end = begin - timedelta(microseconds=1)
        found.append(end)
        begin = end.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return found[::-1]


# --- the hand-off ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Week:
    """What both teams look at once a week (requirement rows 41 and N14)."""

    begins: date
    handed_over: int = 0
    accepted: int = 0
    touched: int = 0
    in_time: int = 0
    overdue: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)  # why sales gave people back


@dataclass(slots=True)
class HandOffOutcome:
    """Week by week, how long the first touch took, who waits, and the score that would fit what sales can take."""

    weeks: list[Week]
    hours_to_touch: float | None  # median
    waiting: int
    proposed_threshold: int | None  # None: everybody who comes can be taken


def handed_over(tx: Connection, config: Config, now: datetime, weeks: int = 8) -> HandOffOutcome:
    """The hand-off to sales of the last weeks."""
    first = (now - timedelta(weeks=weeks - 1)).date()
    first -= timedelta(days=first.weekday())
    found = {first + timedelta(weeks=n): Week(first + timedelta(weeks=n)) for n in range(weeks)}
    hours: list[float] = []
    waiting, scores = 0, []
    for row in hand_offs.since(tx, datetime.combine(first, time(), UTC)):
        if row.rule != HAND_OFF:
            continue
        waiting += row.state == hand_offs.WAITING
        if row.score is not None and row.decided_at > now - timedelta(weeks=WEEKS):
            scores.append(row.score)
        if row.opened_at is None:
            continue
        day = row.opened_at.date()
        week = found.get(day - timedelta(days=day.weekday()))
        if week is None:
            continue
        week.handed_over += 1
        week.accepted += row.accepted_at is not None
        week.overdue += row.breached_at is not None
        if row.touched_at is not None:
            week.touched += 1
            week.in_time += row.breached_at is None
            hours.append((row.touched_at - row.opened_at).total_seconds() / 3600)
        if row.outcome is not None:
            week.outcomes[row.outcome] += 1
        if row.reason:
            week.reasons[row.reason] += 1
    room = config.hand_off.per_week if config.hand_off else 0
    threshold = propose_threshold(scores, WEEKS, room) if config.hand_off else None
    return HandOffOutcome(list(found.values()), median(hours) if hours else None, waiting, threshold)


# --- money -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Money:
    """What the last months cost and brought."""

    since: date
    spent: float
    revenue: float
    reached: dict[LifecycleStage, int]  # people who reached the stage for the first time

    def cost_per(self, stage: LifecycleStage) -> float | None:
        """Money spent for each person who newly reached the stage; None when nobody did."""
        return self.spent / self.reached[stage] if self.reached.get(stage) else None


def money(tx: Connection, config: Config, now: datetime, days: int = 90) -> Money:
    """Spent, earned, and who reached which stage, in the last days."""
    begin = now - timedelta(days=days)
    measurement: Measurement = config.measurement
    query = select(activities.c.attributes).where(
        activities.c.kind == ActivityKind.PURCHASE, activities.c.at > begin, activities.c.at <= now
    )
    revenue = sum(_money(row.attributes.get(measurement.amount)) for row in tx.execute(query))
    reached: Counter[LifecycleStage] = Counter()
    for _, path in moves(tx):
        ranks = [(at, LifecycleStage(stage).rank) for at, stage in path if stage is not None and at <= now]
        for stage in (LifecycleStage.MQL, LifecycleStage.SQL, LifecycleStage.CUSTOMER):
            at = next((at for at, rank in ranks if rank >= stage.rank), None)
            reached[stage] += at is not None and at > begin
    return Money(begin.date(), spent(measurement.costs, begin, now), revenue, dict(reached))


def spent(costs: list[Cost], begin: datetime | None, end: datetime) -> float:
    """What these costs come to between two instants (None: from their beginning)."""
    total = 0.0
    for cost in costs:
        since = datetime.combine(date.fromisoformat(cost.since), time(), UTC)
        until = end
        if cost.until is not None:
            until = min(end, datetime.combine(date.fromisoformat(cost.until), time(), UTC) + timedelta(days=1))
        start = since if begin is None else max(since, begin)
        if cost.once is not None:
            total += cost.once if start == since and since <= end else 0.0
        elif cost.per_month is not None and until > start:
            total += cost.per_month * ((until - start) / MONTH)
    return total

"""What the past says: whether the scores would have told what came."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leadbridge.commands.common import DEFAULT_CONFIG, IN_PART, WRONG_USE, AsJson, ConfigFile, emit, parts_of
from leadbridge.commands.report import share, told_by
from leadbridge.types import LifecycleStage

if TYPE_CHECKING:
    from leadbridge.config.measurement import Goal
    from leadbridge.config.schema import Config
    from sync.backtest import Backtest
    from sync.past import Instant

Reaches = Annotated[
    LifecycleStage | None,
    typer.Option("--reaches", help="success is this stage, or a later one; default: measurement.goal of the file"),
]
Within = Annotated[
    str | None, typer.Option("--within", help="in this time, such as 90d; default: that of measurement.goal")
]
Instants = Annotated[
    int, typer.Option("--instants", min=1, max=60, help="how many past instants, each that time before the next")
]


def backtest(
    reaches: Reaches = None,
    within: Within = None,
    instants: Instants = 4,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Whether the rules of the file would have told who succeeds: everybody scored as of past days, from what was
    known then, against what became of them. Changes nothing, calls no vendor; exit 3 when there is too little to tell.
    """
    from leadbridge import clock, report
    from sync.backtest import backtest as tried

    with parts_of(config) as parts, report.progress(quiet=as_json) as tell:
        goal = _goal(parts.config, reaches, within)
        found = tried(parts.store, parts.scorer, goal, clock.now(), instants, tell=tell)
    figures = {
        "goal": goal.model_dump(mode="json", exclude_none=True),
        "instants": [_instant(one) for one in found.instants],
        "scores": [asdict(one.found) | {"score": one.score, "model": one.model,
                                        "average_precision": one.average_precision} for one in found.scores],
    }  # fmt: skip
    lines = list(_told(found))
    emit(as_json, figures, lambda: typer.echo("\n".join(lines)))
    if all(one.found.auc is None for one in found.scores):
        raise typer.Exit(IN_PART)


def _goal(config: Config, reaches: LifecycleStage | None, within: str | None) -> Goal:
    from leadbridge.config.conditions import parse_duration
    from leadbridge.config.measurement import Goal

    goal = config.measurement.goal
    if reaches is not None:
        goal = Goal.model_validate({"reaches": reaches, "within": f"{goal.within:.0f}s"})
    if within is None:
        return goal
    try:
        return goal.model_copy(update={"within": parse_duration(within)})
    except ValueError as error:
        typer.echo(f"--within {within}: {error}", err=True)
        raise typer.Exit(WRONG_USE) from None


def _instant(one: Instant) -> dict[str, Any]:
    return asdict(one) | {"at": one.at.isoformat(), "sent_back": dict(one.sent_back)}


def _told(found: Backtest) -> Iterator[str]:
    """The report in words, line by line."""
    yield f"{asked(found.goal)}, by the rules of the file"
    yield from looked_at(found.instants)
    for one in found.scores:
        arm = one.found.people
        yield f"score {one.score} (rules {one.model}): {arm.successes:,} of {arm.people:,}"
        yield from told_by(one.found)
        if one.average_precision is not None:
            yield f"  average precision {one.average_precision:.3f}, by chance {arm.share:.3f}"


def asked(goal: Goal) -> str:
    """The goal in words."""
    days = f"within {goal.within / 86400:g} days"
    return f"who becomes {goal.reaches} {days}" if goal.reaches else f"who does this {days}: {goal.activity}"


def looked_at(instants: list[Instant]) -> Iterator[str]:
    """Whom the figures are about, and whom they leave out."""
    if not instants:
        yield "nobody was known then: history begins when leadbridge first read a record, or where the CRM's own does"
    for one in instants:
        back = f", sales sent {one.sent_back.total():,} of the others back" if one.sent_back else ""
        yield f"as of {one.at:%Y-%m-%d}: {one.people:,} people, {one.became:,} did{back}"
        if one.unknown:
            yield (
                f"  left out: {one.unknown:,} who were there, but nothing is known of how they were"
                f" ({share(one.unknown_became / one.unknown)} of them did)"
            )

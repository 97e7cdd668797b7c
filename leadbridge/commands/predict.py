"""What the past says: whether the scores would have told what came, and what can be learned from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leadbridge.commands.common import DEFAULT_CONFIG, FAILED, IN_PART, WRONG_USE, AsJson, ConfigFile, emit, parts_of
from leadbridge.commands.report import share, told_by
from leadbridge.types import LifecycleStage

if TYPE_CHECKING:
    from leadbridge.config.measurement import Goal
    from leadbridge.config.schema import Config
    from leadbridge.config.trained import Figures, Trained
    from scoring.predict.figures import Calibration
    from sync.backtest import Backtest
    from sync.past import Instant
    from sync.training import Leaking, Learned

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
        "scores": [asdict(one.found) | {key: value for key, value in asdict(one).items() if key != "found"}
                   for one in found.scores],
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
        if one.learned_until is not None:
            yield f"  its model was learned from what came until {one.learned_until:%Y-%m-%d}: only later days count"
        yield from told_by(one.found)
        if one.average_precision is not None:
            yield f"  average precision {one.average_precision:.3f}, by chance {arm.share:.3f}"
        if one.calibration is not None:
            yield f"  Brier {one.brier:.4f}"
            yield from _calibrated(one.calibration)


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


def train(
    score: Annotated[
        str | None, typer.Option("--score", help="score whose rules it is made of; default: the main")
    ] = None,
    reaches: Reaches = None,
    within: Within = None,
    instants: Instants = 4,
    honest: Annotated[
        list[str] | None, typer.Option("--honest", help="rule or field that is no leak, however well it tells")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="file to write the model to; default: only report")] = None,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Learn how likely each person is to succeed, from what became of others: a weight for each rule of a score.

    Learned at earlier days, tried on people of later ones. Exit 3 when there is too little to learn from, or what was
    learned tells no better than chance; 1 when something tells the outcome too well to have been known before it.
    Needs leadbridge[prediction]. Changes nothing in the store, calls no vendor.
    """
    from importlib.util import find_spec

    if find_spec("sklearn") is None:
        typer.echo("train needs scikit-learn; install it with: pip install 'leadbridge[prediction]'", err=True)
        raise typer.Exit(FAILED)
    from leadbridge import clock, report
    from sync import training

    with parts_of(config) as parts, report.progress(quiet=as_json) as tell:
        goal, name = _goal(parts.config, reaches, within), score or next(iter(parts.config.scores))
        try:
            found = training.train(
                parts.store, parts.config, name, goal, clock.now(), instants, honest=honest or (), tell=tell
            )
        except ValueError as error:
            typer.echo(f"--score: {error}", err=True)
            raise typer.Exit(WRONG_USE) from None
    figures: dict[str, Any] = {"instants": [_instant(one) for one in found.instants]}
    lines = [asked(goal), *looked_at(found.instants)]
    match found:
        case training.Abstained():
            figures |= {"abstained": found.why}
            lines.append(f"no model: {found.why}")
        case training.Leaking():
            figures |= {"leaks": [asdict(one) for one in found.leaks]}
            lines += _leaking(found)
        case training.Learned():
            figures |= _learned(found)
            lines += _told_of(found)
            lines.append(f"written to {out}" if out else "written nowhere: give --out FILE")
            if out is not None:
                _write(out, found.model)
    emit(as_json, figures, lambda: typer.echo("\n".join(lines)))
    if not isinstance(found, training.Learned):
        raise typer.Exit(IN_PART if isinstance(found, training.Abstained) else FAILED)


def _write(path: Path, model: Trained) -> None:
    """The whole file or none."""
    beside = path.with_name(f"{path.name}.new")
    beside.write_text(f"{model.model_dump_json(indent=1)}\n", encoding="utf-8")
    beside.replace(path)


def _learned(found: Learned) -> dict[str, Any]:
    from scoring.predict.scorecard import scorecard

    return {
        "model": found.model.model_dump(mode="json"),
        "calibration": asdict(found.calibration),
        "scorecard": [asdict(line) | {"sure": line.sure} for line in scorecard(found.model)],
    }


def _leaking(found: Leaking) -> Iterator[str]:
    yield "no model: these tell the outcome too well to have been known before it"
    for leak in found.leaks:
        yield f"  {leak.name}: {leak.why}"
    yield "Take them out of the rules, or vouch for each with --honest NAME."


def _told_of(found: Learned) -> Iterator[str]:
    """The model in words, line by line."""
    from scoring.predict.scorecard import DOUBLES, scorecard

    model, told, hand, calibration = found.model, found.model.held_out, found.model.by_hand, found.calibration
    kept, tried = ([one for one in model.looked if one.held_out is held] for held in (False, True))
    people, did = sum(one.people for one in tried), sum(one.became for one in tried)
    yield (
        f"model {model.version} of score {model.score}: learned from {sum(one.people for one in kept):,} people, of "
        f"whom {sum(one.became for one in kept):,} did; tried on {people:,} later ones, of whom {did:,} did"
    )
    yield f"  of two, the one who did was the likelier {share(told.auc)} of the time ({_ends(told)})"
    yield f"  by the score as it is: {share(hand.auc)} ({_ends(hand)})"
    yield (
        f"  average precision {told.average_precision:.3f}, by the score {hand.average_precision:.3f}, "
        f"by chance {did / people:.3f}; Brier {told.brier:.4f}"
    )
    yield from _calibrated(calibration)
    yield f"scorecard, as each rule usually gives; {DOUBLES} points double the odds"
    for line in scorecard(model):
        if not line.given:
            yield f"  {line.rule}: never given, so nothing was learned of it"
            continue
        ends, sure = f"({line.low:+.1f} to {line.high:+.1f})", "" if line.sure else "; may be chance"
        yield f"  {line.points:+6.1f} {ends} {line.rule}, given {line.given:,} times{sure}"


def _calibrated(found: Calibration) -> Iterator[str]:
    yield f"  {found.expected:.1f} were expected, {found.came:,} came{_as_said(found)}"
    for place, tenth in enumerate(found.tenths, 1):
        yield f"  tenth {place}: {tenth.people:,} people, {tenth.expected:.1f} expected, {tenth.came:,} came"


def _ends(told: Figures) -> str:
    return f"{share(told.auc_low)} to {share(told.auc_high)}"


def _as_said(calibration: Calibration) -> str:
    if calibration.slope is None or calibration.interval is None:
        return ""
    low, high = calibration.interval
    verdict = "as said" if low <= 1 <= high else "said too boldly" if high < 1 else "said too timidly"
    return f"; slope {calibration.slope:.2f} ({low:.2f} to {high:.2f}): {verdict}"

"""What came of it: reports over the store. Nothing is written, no vendor is called."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leadbridge.commands.common import (
    DEFAULT_CONFIG,
    FAILED,
    WRONG_USE,
    AsJson,
    ConfigFile,
    emit,
    load,
    parts_of,
)

if TYPE_CHECKING:
    from leadbridge.config.hand_off import HandOff
    from nurture.accuracy import Ranking
    from nurture.measurement import Uplift
    from sync.accuracy import Accuracy
    from sync.outcomes import HandOffOutcome

app = typer.Typer(
    no_args_is_help=True, help="What came of it: journeys, funnel, hand-off, money. Reads the store only."
)


@app.command()
def journeys(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Each journey against the people kept out of it, with intervals, and when to stop comparing."""
    from sync import outcomes

    found = _read(config, outcomes.journeys)
    figures = [
        {**asdict(one), "decided": one.uplift.decided if one.uplift else False, "gained": one.gained,
         "gives_back": one.gives_back}
        for one in found
    ]  # fmt: skip

    def show() -> None:
        for one in found:
            typer.echo(f"{one.journey}: {one.treated.people:,} people, {one.kept_out.people:,} kept out")
            if one.too_early:
                typer.echo(f"  too early to tell of {one.too_early:,}")
            for variant in one.variants:
                typer.echo(
                    f"  {variant.variant}: {variant.people.people:,} people, success {share(variant.people.share)}"
                )
                _show_uplift(variant.against_first, f"against {one.variants[0].variant}", "    ")
                _show_uplift(variant.against_kept_out, "against those kept out", "    ")
            if one.uplift is None:
                typer.echo("  nobody to compare with was kept out" if one.variants else "  nothing to compare yet")
                continue
            _show_uplift(one.uplift, f"success {share(one.treated.share)} against {share(one.kept_out.share)}", "  ")
            if one.revenue is not None:
                low, middle, high = one.revenue
                typer.echo(f"  money for each person: {middle:+,.2f} ({low:+,.2f} to {high:+,.2f})")
            if one.gives_back is not None:
                typer.echo(f"  {one.gives_back:,.2f} brought in for each 1 of {one.spent:,.2f} spent")

    emit(as_json, {"journeys": figures}, show)


def _show_uplift(up: Uplift | None, what: str, indent: str) -> None:
    if up is None:
        return
    typer.echo(f"{indent}{what}: {_points(up.difference)} points ({_points(up.low)} to {_points(up.high)})")
    verdict = "decided" if up.decided else "go on comparing"
    typer.echo(f"{indent}however often one looks: {_points(up.always_low)} to {_points(up.always_high)}; {verdict}")


def _points(share: float) -> str:
    return f"{share * 100:+.1f}"


@app.command()
def funnel(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Who is in which part, who goes on, how long it takes, and how it was at the end of the last months."""
    from sync import outcomes

    found = _read(config, outcomes.funnel)
    names = [part.name for part in found.parts]
    figures = {
        "parts": [{**asdict(part), "conversion": part.conversion} for part in found.parts],
        "over_time": [{"day": str(day), **dict(zip(names, counts, strict=True))} for day, counts in found.over_time],
    }

    def show() -> None:
        for part in found.parts:
            days = f", after {part.days:.1f} days (median)" if part.days is not None else ""
            went = f"; {share(part.conversion)} went on{days}" if part.conversion is not None else ""
            typer.echo(f"{part.name}: {part.here:,} here, {part.reached:,} ever{went}")
        for day, counts in found.over_time:
            told = ", ".join(f"{name} {count:,}" for name, count in zip(names, counts, strict=True))
            typer.echo(f"{day}: {told}")

    emit(as_json, figures, show)


@app.command()
def handoff(
    tell: Annotated[
        bool, typer.Option("--tell", help="also send it to every place under hand_off.alert, as once a week")
    ] = False,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Week by week what marketing handed over and sales made of it, for both to look at."""
    from sync import outcomes

    found = _read(config, outcomes.handed_over)
    lines = list(_weeks(found))
    emit(as_json, asdict(found), lambda: typer.echo("\n".join(lines)))
    if tell:
        _tell(load(config).hand_off, lines)


def _weeks(found: HandOffOutcome) -> Iterator[str]:
    """The report in words, line by line."""
    for week in found.weeks:
        yield (
            f"week of {week.begins}: {week.handed_over} handed over, {week.accepted} accepted, "
            f"{week.touched} in touch ({week.in_time} in time), {week.overdue} overdue"
        )
        ends = [*week.outcomes.items(), *((f'"{reason}"', n) for reason, n in week.reasons.items())]
        if ends:
            yield "  " + ", ".join(f"{word} {count}" for word, count in ends)
    if found.hours_to_touch is not None:
        yield f"first touch after {found.hours_to_touch:.1f} h (median); {found.waiting} wait for room"
    if found.proposed_threshold is not None:
        yield f"More come than sales can take: a score of {found.proposed_threshold} would fit."


def _tell(given: HandOff | None, lines: Sequence[str]) -> None:
    """Send it to every place where hand-offs are told. Fails when there is none, or one did not take it."""
    from nurture.hand_off import safe
    from sync import alerts

    if given is None or not given.alert:
        typer.echo("--tell: there is no hand_off.alert in the configuration", err=True)
        raise typer.Exit(WRONG_USE)
    text = alerts.Text("Hand-off from marketing to sales, week by week", "\n".join(safe(line, 300) for line in lines))
    problems = [alerts.deliver(place.get_secret_value(), text, given.alert_hosts)[1] for place in given.alert]
    for problem in filter(None, problems):
        typer.echo(f"--tell: {problem}", err=True)
    if any(problems):
        raise typer.Exit(FAILED)


@app.command()
def roi(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """What the last 90 days cost and brought: revenue, and the cost of each MQL, SQL and customer."""
    from leadbridge.types import LifecycleStage
    from sync import outcomes

    found = _read(config, outcomes.money)
    stages = (LifecycleStage.MQL, LifecycleStage.SQL, LifecycleStage.CUSTOMER)
    costs = {stage.value: found.cost_per(stage) for stage in stages}
    figures = {
        "since": str(found.since),
        "spent": found.spent,
        "revenue": found.revenue,
        "reached": {stage.value: found.reached.get(stage, 0) for stage in stages},
        "cost_per": costs,
    }

    def show() -> None:
        typer.echo(f"since {found.since}: {found.spent:,.2f} spent, {found.revenue:,.2f} earned")
        for stage in stages:
            cost = costs[stage.value]
            each = f", {cost:,.2f} each" if cost else ""
            typer.echo(f"new {stage.value}: {found.reached.get(stage, 0):,}{each}")
        if not found.spent:
            typer.echo(
                "No cost falls into these days, so nothing can be told of what each cost; see measurement.costs."
            )

    emit(as_json, figures, show)


@app.command()
def accuracy(
    at: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="day whose scores are looked at; default: the last whose time is over"),
    ] = None,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Whether the score told beforehand who would succeed: scores of an earlier day against what came since."""
    from leadbridge import clock
    from sync.accuracy import accuracy as told

    with parts_of(config) as parts, parts.store.reading() as tx:
        found = told(tx, parts.config, clock.now(), at and at.replace(tzinfo=UTC))
    lines = list(_told_beforehand(found))
    figures = asdict(found) | {
        "at": found.at.isoformat(),
        "until": found.until.isoformat(),
        "months": [{"month": f"{month:%Y-%m}", **asdict(one)} for month, one in found.months],
    }
    emit(as_json, figures, lambda: typer.echo("\n".join(lines)))


def _told_beforehand(found: Accuracy) -> Iterator[str]:
    """The report in words, line by line."""
    yield f"score {found.score} as of {found.at:%Y-%m-%d}, and what came of it until {found.until:%Y-%m-%d}"
    for question in found.questions:
        yield f"{question.asked}: {question.found.people.successes:,} of {question.found.people.people:,}"
        yield from told_by(question.found)
    for month, one in found.months:
        yield f"{month:%Y-%m}: {one.people:,} people, {one.promised:.1f} promised by earlier months, {one.came} came"


def told_by(found: Ranking) -> Iterator[str]:
    """How well a score told, line by line."""
    from nurture.accuracy import FEW

    if found.auc is None or found.interval is None:
        yield f"  too few to tell; at least {FEW} who did and {FEW} who did not are needed"
        return
    low, high = found.interval
    verdict = "it tells" if low > 0.5 else "it tells the contrary" if high < 0.5 else "it may be chance"
    yield f"  of two, the one who did had the higher score {share(found.auc)} of the time"
    yield f"  ({share(low)} to {share(high)}; 50% is chance): {verdict}"
    for tenth in found.tenths:
        ends = f"{tenth.lowest}" if tenth.lowest == tenth.highest else f"{tenth.lowest} to {tenth.highest}"
        came = f"{share(tenth.people.share)} ({share(tenth.interval[0])} to {share(tenth.interval[1])})"
        yield f"  score {ends}: {tenth.people.people:,} people, {came}, {tenth.lift:.1f} times everybody's"


@app.command()
def machines(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Opens and clicks of privacy proxies and scanners, which nothing counts, and who would be qualified if it did."""
    from sync import machines as counting

    with parts_of(config) as parts:
        found = counting.machines(parts.store, parts.scorer)
    events = [
        {"kind": kind.value, "reason": reason, "events": count}
        for (kind, reason), count in sorted(found.events.items())
    ]
    unmade = [asdict(one) for one in found.unmade]

    def show() -> None:
        typer.echo(f"{found.events.total():,} events of machines left out, in mail of {found.people:,} people")
        for one in events:
            typer.echo(f"  {str(one['kind']).replace('_', ' ')}, {one['reason']}: {one['events']:,}")
        typer.echo(f"{len(unmade):,} people would be qualified only because of them")
        for person in found.unmade:
            now = person.stage.value if person.stage else "no stage"
            typer.echo(f"  {person.email or 'somebody without address'}: {person.counted.value}, and is {now}")

    emit(as_json, {"events": events, "people": found.people, "qualified_only_by_machines": unmade}, show)


def _read(config: Any, question: Callable[..., Any]) -> Any:
    """The answer of the store, as it is at one moment."""
    from leadbridge import clock

    with parts_of(config) as parts, parts.store.reading() as tx:
        return question(tx, parts.config, clock.now())


def share(part: float) -> str:
    """In words."""
    return f"{part * 100:.1f}%"

"""Reports for both teams: who waits for an answer, how groups grow, how fast people move. Read the store only."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leadbridge.commands.common import DEFAULT_CONFIG, FAILED, AsJson, ConfigFile, emit, instant, parts_of

if TYPE_CHECKING:
    from sync.speed import Pace


def unanswered(
    days: Annotated[int, typer.Option(min=1, help="questions of the last so many days")] = 30,
    limit: Annotated[int, typer.Option(min=1, help="show at most so many people, who waits longest first")] = 50,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Who asked something and has no answer yet, and how long answers take."""
    from leadbridge import clock
    from leadbridge.report import waited
    from sync.answering import answering

    with parts_of(config) as parts, parts.store.reading() as tx:
        now = clock.now()
        found = answering(tx, parts.config, now, days)

    def show() -> None:
        took = f", half of them within {waited(found.hours)}" if found.hours is not None else ""
        typer.echo(
            f"{found.asked:,} {'question' if found.asked == 1 else 'questions'} in {days} days: "
            f"{found.answered:,} answered{took} ({found.late:,} too late)"
        )
        typer.echo(f"{len(found.waiting):,} wait for an answer, {found.overdue:,} of them for too long")
        for one in found.waiting[:limit]:
            score = "" if one.score is None else f", score {one.score}{f' {one.grade}' if one.grade else ''}"
            hours = (now - one.asked_at).total_seconds() / 3600
            typer.echo(
                f"{waited(hours):>9}  {one.email or 'somebody without address'}: {one.kind.replace('_', ' ')}{score}"
            )

    data = asdict(found) | {"waiting": [asdict(one) for one in found.waiting[:limit]], "unanswered": len(found.waiting)}
    emit(as_json, data, show)


def segments(
    months: Annotated[int, typer.Option(min=0, max=24, help="ends of so many months before today")] = 3,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """How many people are in each segment, now and at the end of the last months, by the rules of today."""
    from sync.sizes import sizes

    with parts_of(config) as parts:
        found = sizes(parts.store, parts.scorer, months)
    width = max(map(len, ("people", *found.segments)))

    def show() -> None:
        typer.echo(" ".join([" " * width, *(f"{day!s:>11}" for day in found.days)]))
        for name, counts in {"people": found.people, **found.segments}.items():
            typer.echo(" ".join([f"{name:<{width}}", *(f"{count:>11,}" for count in counts)]))

    emit(as_json, asdict(found), show)


def cycle(
    since: Annotated[
        str | None, typer.Option(help="the day to compare before and after, such as 2026-03-01; default: 90 days ago")
    ] = None,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """How many days people take from MQL to SQL to customer, by grade, before and since a day."""
    from datetime import timedelta

    from leadbridge import clock
    from sync.speed import speed

    now = clock.now()
    day = instant("--since", since) or now - timedelta(days=90)
    with parts_of(config) as parts, parts.store.reading() as tx:
        found = speed(tx, parts.config, day, now)

    def show() -> None:
        typer.echo(f"median days, before {day:%Y-%m-%d} and since")
        for step in found:
            typer.echo(f"{step.begins} to {step.ends}: {_told(step.before)} before, {_told(step.since)} since")
            for grade, (before, after) in step.grades.items():
                typer.echo(
                    f"  {f'grade {grade}' if grade else 'no grade'}: {_told(before)} before, {_told(after)} since"
                )

    emit(as_json, {"since": day.isoformat(), "steps": [asdict(step) for step in found]}, show)


def _told(pace: Pace) -> str:
    return "nobody" if pace.days is None else f"{pace.days:.1f} ({pace.people:,})"


def history(
    email: Annotated[str, typer.Argument(help="the person's address")],
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Everything that became of one person: scores, stages, journeys and hand-offs, oldest first."""
    from leadbridge.report import when
    from sync.timeline import timeline

    with parts_of(config) as parts:
        found = timeline(parts.store, email)
    if found is None:
        typer.echo(f"Nobody with the address {email} is in the store; has `leadbridge sync` run?", err=True)
        raise typer.Exit(FAILED)

    def show() -> None:
        for event in found:
            by = f", by rules {event.rules}" if event.rules else ""
            typer.echo(f"{when(event.at)}  {event.what}: {event.said}{by}")
        if not found:
            typer.echo("Nothing yet.")

    events: list[dict[str, Any]] = [
        {"at": event.at.isoformat(), "what": event.what, "said": event.said}
        | ({"rules": event.rules} if event.rules else {})
        for event in found
    ]
    emit(as_json, {"email": email, "events": events}, show)

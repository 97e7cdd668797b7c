"""Results of a round, for people and for programs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from leadbridge.config.schema import Config
    from leadbridge.store.engine import Store
    from sync.cycle import Round
    from sync.day import Need
    from sync.explain import Difference, Explanation
    from sync.preview import Preview

console = Console()

MACHINES_SHOWN = 5
"""Events of machines shown of one person."""

FACTORS_SHOWN = 5
"""Rules shown that make somebody more or less likely."""


LEDGER_WORDS = {
    "wanted": "waits for its turn",
    "checked": "about to begin",
    "calling": "about to begin",
    "done": "entered",
    "refused": "refused",
    "uncertain": "uncertain: nobody knows whether it began",
    "cancelled": "cancelled",
    "expired": "not begun in time",
    "held": "held back until `leadbridge release`",
}
"""States of the ledger, for who never saw it."""


def when(at: datetime) -> str:
    """An instant for people: to the minute, with its zone."""
    return f"{at:%Y-%m-%d %H:%M %Z}"


def waited(hours: float) -> str:
    """A time as people say it: hours up to two days, then days and hours."""
    return f"{hours:.1f} h" if hours < 48 else f"{int(hours) // 24} d {int(hours) % 24} h"


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Callable[[str, int], None]]:
    """A `tell(what, count)` that moves bars on a terminal and is silent elsewhere."""
    if quiet or not sys.stderr.isatty():
        yield lambda _what, _count: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description:<12}"), BarColumn(pulse_style="cyan"),
               TextColumn("{task.completed:>8,.0f}"), TimeElapsedColumn())  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def tell(what: str, count: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=None)
            bars.update(tasks[what], completed=count)

        yield tell


def figures(done: Round) -> dict[str, Any]:
    """One round as plain data."""
    return {
        "pulled": done.pulled.leads,
        "changed": done.pulled.changed,
        "activities": done.pulled.activities,
        "opt_outs": done.pulled.opt_outs,
        "skipped": dict(done.pulled.skipped),
        "sources_missing": done.pulled.missing,
        "events": done.events.done,
        "set_aside": done.events.failed + done.rescored.failed,
        "scored": done.rescored.people,
        "moved": done.rescored.changed,
        "written": done.written.written,
        "members_written": done.members.written,
        "write_refused": done.written.refused + done.members.refused,
        "handed_over": done.handed.opened,
        "tasks": done.handed.tasks,
        "alerts": done.handed.told,
        "overdue": done.handed.overdue,
        "tasks_refused": done.handed.refused,
        "enrolled": done.enrolled.enrolled,
        "refused": done.enrolled.refused,
        "cancelled": done.enrolled.cancelled,
        "uncertain": done.enrolled.uncertain,
        "waiting": done.written.waiting + done.members.waiting + done.handed.waiting + done.enrolled.waiting,
        "held_out": done.rescored.held_out,
        "reasons": dict(done.enrolled.reasons),
        "paused": done.paused,
        "in_part": bool(
            done.written.refused
            or done.members.refused
            or done.written.waiting
            or done.members.waiting
            or done.handed.refused
            or done.enrolled.uncertain
            or done.events.failed
            or done.rescored.failed
        ),
    }


def show_round(done: Round) -> None:
    """One round in words."""
    data = figures(done)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(justify="right", style="bold")
    table.add_column()
    for key, words in (
        ("pulled", "leads read"), ("activities", "new activities"), ("opt_outs", "opt-outs read"),
        ("scored", "people scored"), ("moved", "scores that moved"), ("written", "records written back"),
        ("members_written", "members updated"),
        ("handed_over", "handed over to people at the company"), ("overdue", "to whom nobody spoke in time"),
        ("tasks_refused", "tasks that the CRM does not take"),
        ("enrolled", "put into a journey"), ("held_out", "kept out, to measure the difference"),
        ("refused", "may not be mailed"), ("waiting", "waiting for their turn"),
        ("uncertain", "uncertain, see `leadbridge status`"), ("write_refused", "writes refused, now in quarantine"),
        ("set_aside", "events or people that could not be worked, now in quarantine"),
    ):  # fmt: skip
        if data[key]:
            table.add_row(f"{data[key]:,}", words)
    console.print(table if table.row_count else "Nothing changed, nothing written.")
    for reason, count in data["skipped"].items():
        console.print(f"[yellow]left out:[/] {escape(reason)}, {count:,} times", highlight=False)
    for source in data["sources_missing"]:
        console.print(f"[yellow]{source} is not offered by the account; switched off[/]", highlight=False)
    for why in data["paused"]:
        console.print(f"[red]paused:[/] {escape(why)}", highlight=False, soft_wrap=True)


def show_preview(would: Preview) -> None:
    """What a round would do, in words."""
    console.print(
        f"{would.people:,} people are due. Nothing was written to any vendor. A round would:", highlight=False
    )
    lines = [(count, f"write to {vendor}") for vendor, count in would.writes.items()]
    lines += [(count, f"enter {journey}") for journey, count in would.entries.items()]
    lines += [(would.exits, "leave a journey"), (would.held_out, "be kept out, to compare")]
    lines += [(count, f"not be contacted: {why}") for why, count in would.barred.items()]
    lines.append((would.drifting, "not be written yet: the score drifted too little"))
    for count, words in lines:
        if count:
            console.print(f"{count:>8,}  {words}", highlight=False, markup=False)
    show_cost(would.writes, would.cost)


def show_cost(writes: Mapping[str, int], cost: Need) -> None:
    """What writing so many records costs in calls, and whether that fits into the day."""
    for vendor, calls in cost.calls.items():
        console.print(f"{vendor}: {writes[vendor]:,} records to write, {calls:,} calls at least", highlight=False)
        if vendor in cost.left:
            left = f"{cost.left[vendor]:,} of the day's calls are left to leadbridge"
            fits = vendor not in cost.too_many
            console.print(
                left if fits else f"[yellow]{left}: this does not fit, and would go on tomorrow[/]", highlight=False
            )


def show_explanation(found: Explanation) -> None:
    """One person's score, line by line; what is shown adds up."""
    from scoring.explain import lines

    for score in found.scores:
        console.print(
            f"\n[bold]{score.name}[/]: [bold]{score.value}[/] {_scale(*score.scale)}"
            + (f", grade {score.grade}" if score.grade else "")
            + f", by rules {score.model}",
            highlight=False,
        )
        table = Table(box=None, pad_edge=False)
        table.add_column("points", justify="right")
        table.add_column("category")
        table.add_column("rule")
        table.add_column("because of", overflow="fold")
        evidence = found.evidence[score.name]
        for line in lines(score.contributions):
            because = evidence.get(line.rule, "")
            table.add_row(line.points, line.category, escape(line.rule), escape(because))
        console.print(table)
        if (likely := found.likely[score.name]) is not None:
            times = ", ".join(f"{factor:.2g} times by {rule}" for rule, factor in likely.times[:FACTORS_SHOWN])
            console.print(
                f"{likely.goal}: {likely.probability:.1%}, the average is {likely.average:.1%}"
                + (f"; odds {times}" if times else ""),
                highlight=False, markup=False, soft_wrap=True,
            )  # fmt: skip
        for gain in found.raising[score.name]:
            console.print(
                f"would be {gain.points:+d}: {gain.rule} {gain.what}", highlight=False, markup=False, soft_wrap=True
            )
    for name, why in found.without.items():
        console.print(f"\n{name}: no score, {why}", highlight=False, markup=False)
    console.print(
        f"\nas of {when(found.at)}: "
        f"stage {found.stage or 'none'}, buyer's journey {found.buyer_journey or 'unknown'}"
        + (f", because {escape(found.phase_because)}" if found.phase_because else ""),
        highlight=False,
    )
    for name, value in found.wanted.items():
        console.print(f"CRM should show {name}: {'' if value is None else value}", highlight=False, markup=False)
    if found.unmet:
        console.print(f"not ready for sales: {'; '.join(found.unmet)}", highlight=False, markup=False)
    for told in found.machines[:MACHINES_SHOWN]:
        console.print(f"not counted, a machine's: {told}", highlight=False, markup=False)
    if len(found.machines) > MACHINES_SHOWN:
        console.print(f"and {len(found.machines) - MACHINES_SHOWN} more of machines, see --json")
    for given in found.handed:
        ends = "".join(f", {word}" for word in (given.outcome, given.reason) if word)
        to = f" to {given.route}" if given.route else ""
        console.print(f"{given.rule.replace('_', ' ')}{to}: {given.state}{ends}", highlight=False, markup=False)
    for row in found.enrolments:
        words = f" ({row.words})" if row.words else ""
        console.print(
            f"journey {row.way}: {LEDGER_WORDS[row.state]}{words}, {when(row.state_at)}", highlight=False, markup=False
        )


def show_difference(found: Difference) -> None:
    """What changed for one person between two instants."""
    from scoring.reading import said

    for moved in found.scores:
        before, now = ("none" if value is None else value for value in (moved.before, moved.now))
        console.print(f"\n[bold]{moved.name}[/]: {before} → [bold]{now}[/]", highlight=False)
        table = Table(box=None, pad_edge=False)
        for column in ("before", "now"):
            table.add_column(column, justify="right")
        table.add_column("rule")
        for line, old, new in moved.lines:
            table.add_row(f"{old:+.2f}", f"{new:+.2f}", escape(line))
        console.print(table if moved.lines else "no line of it changed")
    told = [f"{name}: {said(old)} → {said(new)}" for name, (old, new) in found.fields.items()]
    told += [f"{count} more: {kind.replace('_', ' ')}" for kind, count in found.activities.items()]
    stages = found.before.stage or "none", found.now.stage or "none"
    told += [f"stage: {stages[0]} → {stages[1]}"] if stages[0] != stages[1] else []
    for line in told or ["nothing else changed but the time that passed"]:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _scale(low: int, high: int) -> str:
    return f"of {high}" if low == 0 else f"on a scale from {low} to {high}"


def status(store: Store, config: Config) -> dict[str, Any]:
    """What the store holds, what waits, and what bounds contact, as plain data."""
    from sync import figures

    now = figures.read(store, config)
    return now.as_dict() | {
        "due": now.waiting["due"],
        "events_waiting": now.waiting["inbox"],
        "writes_waiting": now.waiting["writes"],
        "oldest_waiting_seconds": max(now.oldest.values()),
        "quarantine": sum(now.quarantine.values()),
        "quarantined": now.quarantine,
        "watermarks": [{"source": source, "at": at.isoformat()} for source, at in now.read_at.items()],
    }


def show_status(data: dict[str, Any]) -> None:
    """The same, for a person."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(justify="right", style="bold")
    table.add_column()
    for key, words in (
        ("people", "people"), ("contactable", "of them may be mailed, as far as we know"), ("due", "to be scored now"),
        ("events_waiting", "webhook events waiting"), ("writes_waiting", "writes waiting"),
        ("quarantine", "records in quarantine"),
    ):  # fmt: skip
        table.add_row(f"{data[key]:,}", words)
    for state, count in sorted(data["enrolments"].items()):
        if count:
            table.add_row(f"{count:,}", f"{'enrolment' if count == 1 else 'enrolments'} {state}")
    console.print(table)
    contact = data["contact"]
    console.print(
        f"contact: {contact['last_hour']:,} in the last hour, {contact['last_day']:,} in the last day, "
        f"{contact['allowed']:,} more may be contacted now "
        f"(bound: {escape(contact['why'].removeprefix('held back by guards: '))})",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    for vendor, day in data["day"].items():
        console.print(
            f"{vendor}: {day['used']:,} of the day's {day['limit']:,} calls are used, {day['left']:,} are left to "
            "leadbridge",
            highlight=False,
            soft_wrap=True,
        )
    for problem in data["needs_operator"]:
        console.print(f"[yellow]cannot go on: {escape(problem)}[/]", highlight=False, soft_wrap=True)
    for vendor in data["gaps"]:
        console.print(f"[yellow]{vendor}: something may have been missed; it is read again[/]", highlight=False)
    for limit, seconds in data["quiet"].items():
        if seconds:
            console.print(f"[yellow]{escape(limit)}: the vendor wants no call for {seconds:.0f} s[/]", highlight=False)
    for row in data["watermarks"]:
        console.print(f"{row['source']}: last read {row['at'][:19].replace('T', ' ')} UTC", highlight=False)

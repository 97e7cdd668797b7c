"""Who would move, in words and figures for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from leadbridge.report import console, show_cost

if TYPE_CHECKING:
    from sync.forecast import Called, Crossings, Forecast, Spread
    from sync.rescore import Rescored


def show_scored(done: Rescored) -> None:
    """What scoring everybody did."""
    console.print(
        f"{done.seen:,} people looked at, {done.changed:,} of them moved; {done.writes:,} records are to be written by "
        "the next sync or run.",
        highlight=False,
    )
    _show_drifting(done.drifting)
    if done.failed:
        console.print(f"{done.failed:,} could not be scored; see the quarantine.", highlight=False)


def show_forecast(found: Forecast, by: str | None) -> None:
    """Distribution, stages, who moves most, and what it would cost. Nothing was changed."""
    console.print(f"{found.people:,} people looked at; nothing was changed.", highlight=False)
    if found.unread and found.people:
        console.print(
            f"[yellow]nobody has a value of {', '.join(sorted(found.unread))}[/]: rules on it give nothing; a field "
            "that is new to the file is read by `leadbridge sync --full`",
            highlight=False,
        )
    for name, spread in found.scores.items():
        before, now = found.models[name]
        same = "the same rules" if before == now else f"rules {before or 'various or none'} → {now}"
        console.print(
            f"\n[bold]{name}[/]: {spread.moved:,} move, {spread.up:,} up and {spread.down:,} down ({same})",
            highlight=False,
        )
        console.print(_bands(spread))
    for name in found.gone:
        console.print(f"\n[bold]{name}[/]: no longer there; what the CRM shows of it stays as it is", highlight=False)
    if found.stages:
        table = Table("people", "stage before", "stage now", box=None, pad_edge=False)
        for (old, new), many in found.stages.most_common():
            table.add_row(f"{many:,}", old, new)
        console.print(table)
    else:
        console.print("nobody changes stage")
    if by is not None:
        _show_crossings(by, found.by)
    _show_crossings("segment", found.by_segment)
    if found.called:
        _show_called(found.called, by)
    if found.movers:
        table = Table("before", "now", "lead", "why now", box=None, pad_edge=False)
        for mover in found.movers:
            table.add_row(str(mover.before), str(mover.now), escape(mover.email), escape(mover.reasons))
        console.print(table)
    _show_drifting(found.drifting)
    show_cost(found.writes, found.cost)


def _show_drifting(records: int) -> None:
    if records:
        console.print(f"{records:,} drifted so little that the write waits.", highlight=False)


def _show_called(called: Called, by: str | None) -> None:
    console.print(
        f"by these rules {called.people:,} people would have been handed over in the last seven days", highlight=False
    )
    if called.unknown:
        console.print(
            f"[yellow]{called.unknown:,} more, perhaps[/]: how they were a week ago is not known", highlight=False
        )
    if called.by:
        table = Table(by or "", "handed over in a week", box=None, pad_edge=False)
        for value, many in called.by.most_common():
            table.add_row(escape(value), f"{many:,}")
        console.print(table)


def _bands(spread: Spread) -> Table:
    low, high = spread.scale
    table = Table("score", "before", "now", "", box=None, pad_edge=False)
    most = max(*spread.now, *spread.before, 1)
    parts = len(spread.now)
    for band in reversed(range(parts)):
        start = low + (high - low) * band // parts
        end = low + (high - low) * (band + 1) // parts - (band < parts - 1)
        bar = "█" * round(30 * spread.now[band] / most)
        table.add_row(f"{start} to {end}", f"{spread.before[band]:,}", f"{spread.now[band]:,}", bar)
    return table


def _show_crossings(what: str, counts: dict[str, Crossings]) -> None:
    if not counts:
        return
    table = Table(what, "stage up", "stage down", box=None, pad_edge=False)
    for value, one in sorted(counts.items(), key=lambda item: -(item[1].up + item[1].down)):
        table.add_row(escape(value), f"{one.up:,}", f"{one.down:,}")
    console.print(table)

"""How the demo tells its story on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from shutil import which
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from leadbridge.store import ranking

if TYPE_CHECKING:
    from leadbridge.demo import Rescoring
    from leadbridge.store.ranking import Ranked
    from sync.wiring import Parts


class Story:
    """Steps as they happen, and the ending."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = Console(quiet=quiet, highlight=False, width=None if sys.stdout.isatty() else 110)

    @contextmanager
    def step(self, what: str) -> Iterator[Callable[[str], None]]:
        """Say what is being done; its note and its time follow when it is done."""
        notes: list[str] = []
        self._console.print(f"[bold]•[/] {what}", end="")
        started = time.monotonic()
        try:
            yield notes.append
        except BaseException:
            self._console.print(" … [red]not done[/]")
            raise
        said = f" [green]{escape(notes[0])}[/]" if notes else ""
        self._console.print(f" …{said} [dim]{time.monotonic() - started:.1f} s[/]")

    def tables(self, parts: Parts, best: Sequence[Ranked], rescored: Sequence[Rescoring]) -> None:
        """What a person came for: the best leads as the loop scored them, the rescored ones, the journeys."""
        with parts.store.reading() as tx:
            states_of = ranking.journeys(tx)
        out = self._console
        out.print()
        calls = Table(title="Who to call first", title_justify="left", box=None, pad_edge=False)
        calls.add_column("score", justify="right", style="bold green")
        for name in ("grade", "stage", "lead"):
            calls.add_column(name, no_wrap=True)
        calls.add_column("why", overflow="fold")
        for row in best:
            calls.add_row(str(row.value), row.grade or "", row.stage or "", escape(row.name), escape(row.reasons))
        out.print(calls)

        moved = Table(title="\nRescored in the CRM after its webhook", title_justify="left", box=None, pad_edge=False)
        moved.add_column("before", justify="right")
        moved.add_column("after", justify="right", style="bold green")
        moved.add_column("in", justify="right", style="dim")
        moved.add_column("lead", no_wrap=True)
        moved.add_column("why", overflow="fold")
        for change in rescored[:6]:
            moved.add_row(
                str(change.before), str(change.after), f"{change.seconds:.1f} s", escape(change.name),
                escape(change.reasons),
            )  # fmt: skip
        out.print(moved)

        placed = Table(title="\nJourneys", title_justify="left", box=None, pad_edge=False)
        placed.add_column("journey")
        for name in ("entered", "kept out to compare", "may not be mailed", "uncertain"):
            placed.add_column(name, justify="right")
        for journey in parts.config.nurture.journeys:
            states = states_of.get(journey.name, {})
            entered, out_of, refused, cancelled, unsure = (
                states.get(state, 0) for state in ("done", "held_out", "refused", "cancelled", "uncertain")
            )
            placed.add_row(
                escape(journey.name), f"{entered:,}", f"{out_of:,}", f"{refused + cancelled:,}", f"{unsure:,}"
            )
        out.print(placed)

    def sum_up(self, figures: Mapping[str, Any], calls: Mapping[str, int]) -> None:
        """All of it in one sentence; `calls` by vendor."""
        spent = " and ".join(f"{count:,} calls to {vendor}" for vendor, count in calls.items())
        self._console.print(
            f"\n[bold]{figures['pulled']:,}[/] leads with [bold]{figures['activities']:,}[/] activities pulled, "
            f"[bold]{figures['scored']:,}[/] scored, [bold]{figures['written']:,}[/] written back, "
            f"[bold]{figures['enrolled']:,}[/] enrolled, [bold]{figures['rescored_by_webhook']:,}[/] rescored by "
            f"webhook, in [bold]{figures['seconds']:.0f} s[/], with {spent}."
        )

    def still_running(self, url: str, environ: Mapping[str, str], config: Path, email: str) -> None:
        """How to look around in what is kept."""
        secrets = " ".join(f"{name}={value}" for name, value in environ.items())
        command = "leadbridge" if which("leadbridge") else f"{sys.executable} -m leadbridge.cli"
        self._console.print(f"\nStill running: [bold]{url}[/] (Ctrl-C to stop). In another terminal:", soft_wrap=True)
        self._console.print(
            f"  {secrets} {command} explain {quote(email)} --config {config}", soft_wrap=True, markup=False
        )

    def what_next(self, url: str, example: Path, *, kept: bool) -> None:
        """The way to one's own account."""
        if not kept:
            self._console.print(
                f"\nThe page at {url} went with it; `leadbridge demo --keep` leaves everything running."
            )
        self._console.print(
            f"\nNext, with your own account:\n  cp {quote(str(example))} leadbridge.yaml",
            "\n  set HUBSPOT_TOKEN, HUBSPOT_APP_SECRET and MAILCHIMP_KEY in the environment",
            "\n  leadbridge check, then plan, apply, sync, run",
            '\nREADME.md, "Going live", walks you through it.',
            sep="", soft_wrap=True, markup=False,
        )  # fmt: skip

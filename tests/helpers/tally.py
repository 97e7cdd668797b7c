"""What became of faults that were caused on purpose, in one form for all of them (reliability, section 5)."""

import platform
import sqlite3
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from leadbridge import __version__

NOTE = "fault"
"""The property of a test's report under which its figures travel."""


class Tally:
    """Call it with what was found: it is shown at the end of the run, and the test fails unless nobody was harmed.

    lost: acknowledged or changed, without a final state. duplicate: effects beyond the first. wrong: forbidden contact,
    a stale or untrue value, something let in. uncertain: parked for a human. recover: seconds from the end of a fault
    until all is normal again.
    """

    def __init__(self, note: Callable[[str, object], None]) -> None:
        self._note = note

    def __call__(
        self,
        fault: int,
        *,
        trials: int,
        lost: int = 0,
        duplicate: int = 0,
        wrong: int = 0,
        uncertain: int = 0,
        recover: Sequence[float] = (),
        seed: int | None = None,
    ) -> None:
        counts = {"lost": lost, "duplicate": duplicate, "wrong": wrong, "uncertain": uncertain}
        self._note(NOTE, counts | {"fault": fault, "trials": trials, "recover": list(recover), "seed": seed})
        assert trials > 0, "nothing was tried"
        assert (lost, duplicate, wrong) == (0, 0, 0), f"{trials} trials: {counts}"


def lines(reports: Iterable[Any]) -> Iterator[str]:
    """The figures of these tests' reports in words, by fault."""
    told = [(dict(found), one.nodeid) for one in reports for name, found in one.user_properties if name == NOTE]
    if not told:
        return
    yield f"leadbridge {__version__}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    for found, test in sorted(told, key=lambda one: (one[0]["fault"], one[1])):
        counts = ", ".join(f"{name} {found[name]}" for name in ("lost", "duplicate", "wrong", "uncertain"))
        words = f"{found['fault']:>2}  {found['trials']} trials: {counts}"
        if times := sorted(found["recover"]):
            p95 = times[min(len(times) - 1, int(0.95 * len(times)))]
            words += f", recover p50 {statistics.median(times):.2f} s, p95 {p95:.2f} s, max {times[-1]:.2f} s"
        if found["seed"] is not None:
            words += f", seed {found['seed']}"
        yield f"{words}  {test.rpartition('::')[2]}"

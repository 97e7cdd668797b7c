"""Every fault found in one file, collected in one place."""

from leadbridge.config.wording import path_text
from leadbridge.errors import Fault

MOST = 100
"""Faults shown; beyond that a count. A file with more is not read to its end by anyone."""


class Faults:
    """What is wrong so far. Adding the same fault twice counts once."""

    def __init__(self) -> None:
        self._found: dict[Fault, None] = {}
        self._more = 0

    @property
    def full(self) -> bool:
        """No more are kept: looking for a nearest spelling would be work for nothing."""
        return len(self._found) >= MOST

    def add(self, line: int, path: tuple[str | int, ...], problem: str, hint: str = "") -> None:
        if self.full:
            self._more += 1
        else:
            self._found[Fault(line, path_text(path), problem, hint)] = None

    def __bool__(self) -> bool:
        return bool(self._found)

    def listed(self) -> list[Fault]:
        """Every fault kept, in the order of the file, and a last one that counts the rest."""
        found = sorted(self._found)
        if self._more:
            found.append(Fault(found[-1].line, "the file", f"has {self._more} more faults; mend these first"))
        return found

"""How far long work is, told to whoever waits for it."""

from collections.abc import Callable
from typing import TypeAlias

Tell: TypeAlias = Callable[[str, int], None]
"""Told again and again: what is counted, and how many there are so far."""


def unheard(_what: str, _count: int) -> None:
    """Nobody waits."""

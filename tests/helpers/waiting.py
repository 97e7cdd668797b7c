"""Waiting for what other threads and processes do: a limit that only a fault reaches, however busy the machine."""

import time
from collections.abc import Callable

LONG = 120.0
"""Seconds after which something will not come about any more."""


def until(holds: Callable[[], object], seconds: float = LONG) -> float:
    """Wait until something holds; how long it took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, "it does not come about"
        time.sleep(0.005)
    return time.monotonic() - began


def quickest(action: Callable[[], object], within: float, goes: int = 5) -> float:
    """Seconds of the quickest of a few goes, of one when it is within the bound: a pause of the machine meets few."""
    took = []
    for _ in range(goes):
        began = time.monotonic()
        action()
        took.append(time.monotonic() - began)
        if took[-1] < within:
            break
    return min(took)

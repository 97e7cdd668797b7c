"""Cutting work into the sizes vendors take, and into those that they do take."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from leadbridge.errors import Unknown, VendorError

T = TypeVar("T")

HOPELESS = 16
"""So many parts of one batch that a vendor breaks over, each by itself, tell of the vendor and not of any item."""


def in_batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items in order, at most `size` at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def by_halves(
    items: Sequence[T],
    send: Callable[[Sequence[T]], VendorError | None],
    alone: Callable[[T, VendorError], None],
) -> None:
    """Send items together, and those that cannot be in halves, until each that cannot be sent stands alone (G16).

    `send` returns what stands in the way of these together, `alone` is told of each item that is left. Parts of one
    size go before any smaller. Raises what `send` raises, and Unknown when many parts fail so and none does not.
    """
    parts: list[Sequence[T]] = [items]
    while parts:
        errors = [send(part) for part in parts]
        if len(parts) >= HOPELESS and all(isinstance(error, Unknown) for error in errors):
            raise next(error for error in errors if error is not None)
        smaller: list[Sequence[T]] = []
        for part, error in zip(parts, errors, strict=True):
            if error is not None and len(part) == 1:
                alone(part[0], error)
            elif error is not None:
                middle = len(part) // 2
                smaller += part[:middle], part[middle:]
        parts = smaller

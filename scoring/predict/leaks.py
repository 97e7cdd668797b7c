"""What tells the outcome too well to have been known before it. Pure.

Nearly always such a thing is filled in with the outcome or after it. As of a past instant it should not be known; it
is when the CRM changes a value and keeps neither history nor date.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leadbridge.columns import Mask

ALONE = 0.95
"""Told apart that well by one thing alone, or so many of those who have it: no honest sign does."""

FEW = 20
"""Of fewer people nothing is concluded."""


@dataclass(frozen=True, slots=True)
class Leak:
    """Something that must not be learned from unless somebody says that it is honest."""

    name: str
    why: str


def too_good(points: Mapping[str, NDArray[np.float64]], became: Mask) -> Iterator[Leak]:
    """What among these, by name, tells the outcome nearly without a fault, or comes with it only."""
    share = float(became.mean())
    for name, given in points.items():
        some = given != 0
        have, hits = int(some.sum()), int(became[some].sum())
        area = _area(given, became)
        if max(area, 1 - area) >= ALONE and min(became.sum(), (~became).sum()) >= FEW:
            yield Leak(name, f"alone tells who did from who did not {max(area, 1 - area):.0%} of the time")
        elif have >= FEW and hits >= ALONE * have and hits >= 2 * share * have:
            yield Leak(name, f"of {have:,} people who had it then, {hits:,} did; of all, {share:.1%}")


def only_afterwards(
    before: Mapping[str, Mask], now: Mapping[str, Mask], became: Mask
) -> Iterator[Leak]:  # fmt: skip
    """Which fields were known of nobody before the outcome, and are known now of most who had it and of few others?"""
    did, others = int(became.sum()), int((~became).sum())
    for name, known in before.items():
        if did < FEW or not others or known[became].any():
            continue
        came, stayed = now[name][became].mean(), now[name][~became].mean()
        if came >= 0.5 and stayed <= 0.1:
            yield Leak(f"field {name}", f"is known of nobody before, and of {came:.0%} of those who did afterwards")


def _area(values: NDArray[np.float64], became: Mask) -> float:
    """The area under the ROC curve; equals count half."""
    wins, losses = int(became.sum()), int((~became).sum())
    if not wins or not losses:
        return 0.5
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    rank = (counts.cumsum() - (counts - 1) / 2)[place]
    return float((rank[became].sum() - wins * (wins + 1) / 2) / (wins * losses))

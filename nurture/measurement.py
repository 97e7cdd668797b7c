"""Did it help, and how sure is that? Differences of shares and of means, with intervals. Pure.

Two intervals stand beside each other. The one for a look at a fixed time is Newcombe's hybrid score interval (Newcombe
1998, Statistics in Medicine 17, 873-890, method 10). Who looks every day and stops when it pleases would fool himself
with it; for that there is an interval that holds at all times at once, from the mixture sequential probability ratio
test (Johari, Koomen, Pekelis and Walsh 2022, Operations Research 70, 1806-1821). A comparison is decided when the
second leaves out zero, whenever that is.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, variance

TAU = 0.05
"""Size of difference the interval for all times is sharpest at: five points in a hundred."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One side of a comparison: how many people, and how many of them succeeded."""

    people: int
    successes: int

    @property
    def share(self) -> float:
        return self.successes / self.people if self.people else 0.0


@dataclass(frozen=True, slots=True)
class Uplift:
    """The difference of two shares, 0..1: treated less kept out."""

    difference: float
    low: float
    high: float
    always_low: float  # holds at all times at once, however often one looks
    always_high: float

    @property
    def decided(self) -> bool:
        """May one stop here? Sound however often it was asked before."""
        return self.always_low > 0 or self.always_high < 0


def uplift(treated: Arm, kept_out: Arm, confidence: float = 0.95) -> Uplift | None:
    """How much more often the treated succeeded; None while one side is empty."""
    if not treated.people or not kept_out.people:
        return None
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    low1, high1 = wilson(treated, z)
    low0, high0 = wilson(kept_out, z)
    p1, p0 = treated.share, kept_out.share
    difference = p1 - p0
    radius = _always(treated, kept_out, 1 - confidence)
    return Uplift(
        difference,
        max(-1.0, difference - math.hypot(p1 - low1, high0 - p0)),
        min(1.0, difference + math.hypot(high1 - p1, p0 - low0)),
        max(-1.0, difference - radius),
        min(1.0, difference + radius),
    )


def wilson(arm: Arm, z: float) -> tuple[float, float]:
    """Interval of one share (Wilson 1927): never below 0 or above 1, sound for few people too."""
    n, p = arm.people, arm.share
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def _always(one: Arm, other: Arm, alpha: float) -> float:
    """Half of the interval that holds at all times: the values a mixture of normal alternatives does not refute.

    The variance counts one more success and one more failure on each side (Agresti and Caffo 2000), so that no side
    seems certain before anything happened.
    """
    v = sum(_smoothed(arm) for arm in (one, other))
    t = TAU * TAU
    return math.sqrt(v * (v + t) / t * (2 * math.log(1 / alpha) + math.log((v + t) / v)))


def _smoothed(arm: Arm) -> float:
    p, n = (arm.successes + 1) / (arm.people + 2), arm.people + 2
    return p * (1 - p) / n


def mean_difference(
    treated: Sequence[float], n1: int, kept_out: Sequence[float], n0: int, confidence: float = 0.95
) -> tuple[float, float, float] | None:
    """(low, difference, high) of money per person; each side gives its amounts above zero, and how many it is in all.

    By Welch's variance and the normal distribution: for some dozens of people and more. None for fewer than two.
    """
    if n1 < 2 or n0 < 2:
        return None
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    (m1, v1), (m0, v0) = _moments(treated, n1), _moments(kept_out, n0)
    half = z * math.sqrt(v1 / n1 + v0 / n0)
    return m1 - m0 - half, m1 - m0, m1 - m0 + half


def _moments(amounts: Sequence[float], n: int) -> tuple[float, float]:
    """Mean and variance of these and as many zeros as make n."""
    if not amounts:
        return 0.0, 0.0
    mean = math.fsum(amounts) / n
    inner = fmean(amounts)
    spread = variance(amounts, inner) * (len(amounts) - 1) if len(amounts) > 1 else 0.0
    total = spread + len(amounts) * (inner - mean) ** 2 + (n - len(amounts)) * mean**2
    return mean, total / (n - 1)

"""A trained model as people read it: points for each rule, with how sure they are. Pure."""

import math
from dataclasses import dataclass
from statistics import NormalDist

from leadbridge.config.trained import Trained

DOUBLES = 10
"""Points of the scorecard that double the odds."""


@dataclass(frozen=True, slots=True)
class Line:
    """One rule: what it counts, as it usually gives."""

    rule: str
    given: int
    points: float
    low: float
    high: float

    @property
    def sure(self) -> bool:
        """Is it surely for, or surely against?"""
        return self.low > 0 or self.high < 0


def scorecard(model: Trained) -> list[Line]:
    """The rules, the weightiest first. The intervals hold all at once (Bonferroni): one may look for the sure ones."""
    z = NormalDist().inv_cdf(1 - (1 - model.confidence) / 2 / len(model.weights))
    lines = []
    for one in model.weights:
        size = one.typical * DOUBLES / math.log(2)
        ends = sorted(((one.weight - z * one.error) * size, (one.weight + z * one.error) * size))
        lines.append(Line(one.rule, one.given, one.weight * size, *ends))
    return sorted(lines, key=lambda line: -abs(line.points))

"""Does a score tell beforehand who will succeed, and how surely is that known? Pure.

How well it ranks is the area under the ROC curve: how often, of one who succeeded and one who did not, the first had
the higher score. Its interval is method 5 of Newcombe 2006 (Statistics in Medicine 25, 559-573), which stays within 0
and 1 and is not empty when the ranking was perfect.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from nurture.measurement import Arm, wilson

FEW = 10
"""Fewer who succeeded, or who did not, tell nothing."""

BAND = 10
"""Points of a band of scores, for what earlier months promised."""

PRIOR = 10
"""People of the average share that every band begins with, so that a band of two people promises nothing."""


@dataclass(frozen=True, slots=True)
class Tenth:
    """The people of one tenth by score, the highest first; equal scores are never parted."""

    lowest: int
    highest: int
    people: Arm
    interval: tuple[float, float]  # of their share
    lift: float  # their share in units of everybody's


@dataclass(frozen=True, slots=True)
class Ranking:
    """How well scores told who would succeed. Without `auc` there were too few to tell."""

    people: Arm
    auc: float | None
    interval: tuple[float, float] | None
    tenths: tuple[Tenth, ...]


def ranking(scores: Sequence[float], succeeded: Sequence[bool], confidence: float = 0.95) -> Ranking:
    """Of each person the score beforehand, and whether they succeeded afterwards."""
    value, won = np.asarray(scores, float), np.asarray(succeeded, bool)
    wins, losses = int(won.sum()), int((~won).sum())
    people = Arm(len(won), wins)
    if wins < FEW or losses < FEW:
        return Ranking(people, None, None, ())
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    ranks = _ranks(value)
    auc = float((ranks[won].sum() - wins * (wins + 1) / 2) / (wins * losses))
    place = np.minimum(((len(value) - ranks + 0.5) * 10 / len(value)).astype(int), 9)  # 0: the highest
    tenths = []
    for tenth in np.unique(place):
        mine = place == tenth
        arm = Arm(int(mine.sum()), int(won[mine].sum()))
        ends = round(float(value[mine].min())), round(float(value[mine].max()))
        tenths.append(Tenth(*ends, arm, wilson(arm, z), arm.share / people.share))
    return Ranking(people, auc, auc_interval(auc, wins, losses, z), tuple(tenths))


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1; equal values share the middle of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = counts.cumsum()
    return np.asarray((ends - (counts - 1) / 2)[inverse], float)


def auc_interval(auc: float, wins: int, losses: int, z: float) -> tuple[float, float]:
    """All areas that are not further from this one than z times what chance does to them."""
    more = (wins + losses) / 2 - 1

    def near(area: float) -> bool:
        spread = area * (1 - area) * (1 + more * (1 - area) / (2 - area) + more * area / (1 + area)) / (wins * losses)
        return (auc - area) ** 2 <= z * z * spread

    def end(inside: float, outside: float) -> float:
        for _ in range(50):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if near(middle) else (inside, middle)
        return inside

    return end(auc, 0.0), end(auc, 1.0)


@dataclass(frozen=True, slots=True)
class Promise:
    """What people of one month would do by what earlier ones of the same scores had done, and what they did."""

    people: int
    promised: float
    came: int


def promise(
    earlier: Sequence[tuple[Sequence[float], Sequence[bool]]], now: tuple[Sequence[float], Sequence[bool]]
) -> Promise:
    """`earlier`: (scores, successes) of months whose time was over before this one began; `now`: of this one."""
    people, wins = Counter[int](), Counter[int]()
    for scores, succeeded in earlier:
        for score, won in zip(scores, succeeded, strict=True):
            people[int(score // BAND)] += 1
            wins[int(score // BAND)] += won
    average = wins.total() / people.total() if people.total() else 0.0
    shares = {band: (wins[band] + PRIOR * average) / (people[band] + PRIOR) for band in people}
    scores, succeeded = now
    promised = sum(shares.get(int(score // BAND), average) for score in scores)
    return Promise(len(scores), promised, sum(succeeded))

"""How good is a probability, or any order of people, beside what became of them? Pure.

The area under the ROC curve, with tenths and their lift, is `nurture.accuracy.ranking`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from leadbridge.columns import Mask

Shares = NDArray[np.float64]


def average_precision(values: Sequence[float] | Shares, became: Sequence[bool] | Mask) -> float:
    """Going down the list, the share of hits so far, averaged over the hits; the share of all is what chance gives.

    People of one value are met at once. Raises ValueError when nobody was a hit.
    """
    value, hit = np.asarray(values, np.float64), np.asarray(became, np.bool_)
    if not hit.any():
        raise ValueError("nobody was a hit")
    _, place, people = np.unique(-value, return_inverse=True, return_counts=True)
    hits = np.bincount(place, hit, len(people))
    return float(hits @ (hits.cumsum() / people.cumsum()) / hits.sum())


def brier(probability: Shares, became: Mask) -> float:
    """The mean square of how far the probability was off: 0 is perfect, and smaller is better."""
    return float(np.mean((probability - became) ** 2))


@dataclass(frozen=True, slots=True)
class Tenth:
    """One tenth of the people by probability: what was expected of them, and what came."""

    people: int
    expected: float
    came: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """Do as many come as was said? `slope` 1 is right, below: said too boldly, above: too timidly."""

    expected: float
    came: int
    tenths: tuple[Tenth, ...]  # the most likely first
    slope: float | None  # None: too alike to tell
    interval: tuple[float, float] | None


def calibration(probability: Shares, became: Mask, confidence: float = 0.95) -> Calibration:
    """The expected beside what came, in all and by tenths, and the slope of what came over the log-odds said."""
    order = np.argsort(-probability, kind="stable")
    tenths = tuple(
        Tenth(len(part), float(probability[part].sum()), int(became[part].sum()))
        for part in np.array_split(order, 10)
        if len(part)
    )
    slope, error = _slope(probability, became)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    around = None if slope is None else (slope - z * error, slope + z * error)
    return Calibration(float(probability.sum()), int(became.sum()), tenths, slope, around)


def _slope(probability: Shares, became: Mask) -> tuple[float | None, float]:
    """Logistic regression of what came on the log-odds, by Newton's method: the slope and its standard error."""
    said = np.clip(probability, 1e-9, 1 - 1e-9)
    x = np.column_stack([np.ones(len(said)), np.log(said / (1 - said))])
    found = np.array([0.0, 1.0])
    for _ in range(50):
        share = 1 / (1 + np.exp(-np.clip(x @ found, -30, 30)))
        curve = (x * (share * (1 - share))[:, None]).T @ x
        if np.linalg.cond(curve) > 1e10:  # nobody, all alike, or told apart without a fault
            return None, 0.0
        step = np.linalg.solve(curve, x.T @ (became - share))
        found += step
        if np.abs(step).max() < 1e-9:
            return float(found[1]), float(np.sqrt(np.linalg.inv(curve)[1, 1]))
    return None, 0.0

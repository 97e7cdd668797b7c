"""A trained probability at work, inside the engine: from what the rules give to log-odds, a probability and points.

Points of the category are `max` times what the probability would be if half of all people reached the goal. So who is
as likely as the average has half of the points, whose odds are three times the average three quarters, and everybody
keeps their place; `max` times the probability itself would hardly move a score where one in fifty comes. Pure.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leadbridge.columns import Mask
from leadbridge.config.trained import Trained

Floats = NDArray[np.float64]
Units = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Weight:
    """What one rule adds to the log-odds for each unit it gives, between the least and the most it was seen to give."""

    rule: int  # its line
    weight: float
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Predictor:
    """A trained probability made ready; points and bounds in units."""

    category: str
    line: int  # that its points go into
    top: int  # as many as certainty gives
    intercept: float
    average: float  # log-odds of everybody it was learned from
    weights: tuple[Weight, ...]

    @property
    def steepest(self) -> float:
        """Units that the points can move at most when the log-odds move by one."""
        return self.top / 4


def line_of(model: Trained) -> str:
    """What the line is called in reasons and explanations."""
    return f"likely to become {model.reaches}" if model.stage else f"likely: {model.reaches}"


def predictor(
    category: str, top: int, line: int, model: Trained, rules: Sequence[str], unit: int
) -> Predictor:  # fmt: skip
    """A trained model for rules of these names, in the order of their lines. Raises ValueError when one is missing."""
    place = {name: index for index, name in enumerate(rules)}
    if missing := [one.rule for one in model.weights if one.rule not in place]:
        raise ValueError(f"category {category}: trained with rules that are not there: {', '.join(missing)}")
    weights = tuple(
        Weight(place[one.rule], one.weight / unit, round(one.low * unit), round(one.high * unit))
        for one in model.weights
        if one.weight
    )
    return Predictor(category, line, top, model.intercept, math.log(model.share / (1 - model.share)), weights)


def log_odds(using: Predictor, table: Units) -> Floats:
    """Of each column of a table whose first lines are the rules, before any bound."""
    found = np.full(table.shape[1], using.intercept)
    for one in using.weights:
        found += np.clip(table[one.rule], one.low, one.high) * one.weight
    return found


def probability(odds: Floats) -> Floats:
    """Of log-odds."""
    found: Floats = 1 / (1 + np.exp(-np.clip(odds, -500, 500)))
    return found


def points(using: Predictor, table: Units) -> Units:
    """Units of the category."""
    return np.rint(using.top * probability(log_odds(using, table) - using.average)).astype(np.int64)


def shown(using: Predictor | None, table: Units, applies: Mask) -> Floats | None:
    """The probability of those whom the score applies to; None without a model."""
    return None if using is None else np.where(applies, probability(log_odds(using, table)), np.nan)


def factors(using: Predictor, table: Units) -> list[tuple[int, float]]:
    """By how much each rule multiplies one person's odds: (line, factor), the largest effect first; none without."""
    found = [(one.rule, one.weight * float(np.clip(table[one.rule, 0], one.low, one.high))) for one in using.weights]
    return [(line, math.exp(effect)) for line, effect in sorted(found, key=lambda one: -abs(one[1])) if effect]

"""Scores of people to scores of their companies: the best or the sum. Pure.

Of colleagues who are not scored in the same batch, the value stored last counts; whoever is scored here counts with the
new one. A score that does not apply to somebody counts for nothing; a company of nobody scored is unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leadbridge.columns import Coded, Column, Columns, Numbers
from leadbridge.conditions import Prepared
from scoring.engine import ScoreFrame


@dataclass(frozen=True, eq=False)
class Companies:
    """Which company each of n people belongs to: places in `keys`, -1 for none."""

    keys: tuple[str, ...]
    place: NDArray[np.int64]

    def key(self, row: int) -> str | None:
        """Key of the company of a person."""
        place = int(self.place[row])
        return None if place < 0 else self.keys[place]


def companies(by: str, where: Prepared | None, facts: Columns, t: int) -> Companies:
    """The companies of everybody; keys are compared as text is, without regard to case."""
    column = facts.by_name.get(by)
    if column is None:
        return Companies((), np.full(facts.n, -1))
    coded = column if isinstance(column, Coded) else column.coded
    texts: dict[str, int] = {}
    codes = [-1 if reading is None else texts.setdefault(reading[1], len(texts)) for reading in coded.readings]
    place = coded.spread(codes, -1).astype(np.int64)
    if where is not None:
        place = np.where(where.check(facts, t), place, -1)
    return Companies(tuple(texts), place)


def of_others(found: Companies, stored: Mapping[str, Mapping[str, tuple[int, int]]]) -> dict[str, Column]:
    """Columns that carry what colleagues amount to who are not among these people; `stored`: by score, by key of the
    company, their best and their sum. For `together`."""
    columns: dict[str, Column] = {}
    for name, by_key in stored.items():
        for part, which in enumerate(("best", "sum")):
            values = [float(by_key[key][part]) if key in by_key else np.nan for key in found.keys]
            columns[_others(which, name)] = Numbers(np.array([*values, np.nan])[found.place])
    return columns


def _others(which: str, score: str) -> str:
    return f"_colleagues.{which}.{score}"  # no name of a field begins so


def together(how: str, found: Companies, frame: ScoreFrame, facts: Columns) -> Numbers:
    """The company's score of each person, from those of the frame and what `of_others` says of the rest."""
    count = len(found.keys)
    inside = found.place >= 0
    mine = frame.applies & inside
    start = -np.inf if how == "best" else 0.0
    total, known = np.full(count, start), np.zeros(count, np.bool_)
    add = np.maximum if how == "best" else np.add
    add.at(total, found.place[mine], frame.value[mine].astype(np.float64))
    known[found.place[mine]] = True
    column = facts.by_name.get(_others(how, frame.model.name))
    if isinstance(column, Numbers):
        rows = np.flatnonzero(inside & column.known)
        places, first = np.unique(found.place[rows], return_index=True)  # the same for everybody of a company
        total[places] = add(total[places], column.values[rows[first]])
        known[places] = True
    return Numbers(np.append(np.where(known, total, np.nan), np.nan)[found.place])

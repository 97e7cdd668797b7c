"""score(): people, their activities and a compiled model to scores with reasons. Pure: no clock, store or network.

The whole sequence, for a batch of any size::

    lead = compile_model("lead", config.scores["lead"], types)      # once per configuration
    people = people_frame(ids, facts_by_person, types)              # types: known fields and built-in ones
    near = nearness(compile_personas(config.personas), people.facts, at)
    people = replace(people, facts=people.facts.adding(near.facts()))
    activities = activities_frame(people, rows)                     # or Activities.by_id, from columns
    frame = score(lead, people, activities, at)                     # one instant for everybody

    for one in frame.scores():                                      # leadbridge.types.Score, with contributions
        store(one, reasons=explain.reasons(one.contributions))
    facts = people.facts.adding(score_facts([frame]))               # score.lead, score.lead.fit, grade.lead
    found = stages(config.stages, facts, current_stages, at)        # then buyer_journey, segments, journeys likewise

Meaning (DESIGN section 7), and what it leaves open, settled here:

- Activity counts for t - within < at <= t, to the microsecond; what lies after t never counts, for silence neither.
- An activity is worth points x share x each, rounded to ten decimals (`compile.UNIT`); the share that counts is
  2^(-(t - at) / half_life), or that of the first of `steps` it is younger than (of none: 0), at least `floor`, and 1
  while `pause_while` holds of the person; `within` counts on meanwhile. One whose
  `each` value is not a number is not a match: it takes no place in `at_most` either. Of several at one instant,
  `at_most` keeps those with the larger `each` value (without `each` they are worth the same).
- `sequence` counts an activity that one of the kinds `then` followed, by 0 < later - earlier < its `within`. Each
  activity so followed counts once, however many followed it; one that follows may do so for several. The date of the
  first decides on `within` and `half_life`; `at_most: 1` asks whether it ever happened.
- `first_only`: of all that match, however long ago (`within` aside), the first counts, if it is in `within`.
- `distinct`: of those in the period with one value (compared as text is), the newest counts; without it, none.
- `at_least: n` gives the points once when n activities match.
- `each` of an attribute rule multiplies its points by a number of the person: a field, a behaviour, another score.
  An unknown one gives nothing.
- `cap` bounds a rule's contribution in size; without one 100,000 points do.
- Silent is who has no activity of the kinds named (when none is, of any that machines did not make) in the period.
  Someone who never did anything is silent too, however new: `when: {created_at: {older_than: 60d}}` beside
  `no_activity_for: 60d` spares the newcomer. The store's history must reach back that far.
- Of an exclusive group, which may span categories, the rule with the largest contribution in size counts; of two of
  one size the positive one, of two the same the first in the file.
- A category with a trained model has no rules: its points come from what all rules of the score give by themselves,
  before groups and bounds (`predict.likely`).
- A score that does not apply to a person has value 0, no grade, no lines and unknown facts; read `applies` first.

Memory beside the frames is about 2 kB a person with 40 rules and 20 activities: work in ranges of 100,000 people.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from leadbridge.columns import Coded, Column, Mask, Numbers, micros
from leadbridge.types import Lines, Score
from scoring.compile import UNIT, CompiledModel
from scoring.frames import Activities, People
from scoring.predict import likely
from scoring.rules import Matching, Units, contribution


@dataclass(frozen=True, eq=False)
class Contributions:
    """The table of lines that are not zero, in order of (person, line): rules as in the file, then bounds as applied.

    `line` indexes CompiledModel.lines, `units` are ten billionths of a point; a person's sum to 10^10 x value, exactly.
    """

    person: NDArray[np.int32]
    line: NDArray[np.int16]
    units: Units

    @property
    def points(self) -> NDArray[np.float64]:
        return self.units / UNIT

    def of(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Places in the table of the lines of some rows, given in rising order; and how many each row has."""
        begins, ends = np.searchsorted(self.person, rows), np.searchsorted(self.person, rows, "right")
        lengths = ends - begins
        stops = np.cumsum(lengths)
        return np.arange(stops[-1] if len(rows) else 0) + np.repeat(begins - stops + lengths, lengths), lengths


@dataclass(frozen=True, eq=False)
class ScoreFrame:
    """Scores of one model at one instant; row i is person ids[i]."""

    model: CompiledModel
    at: datetime
    ids: NDArray[np.int64]
    applies: Mask
    value: NDArray[np.int16]  # within model.scale
    categories: Mapping[str, NDArray[np.float64]]  # points, within the bounds of the category
    grade: NDArray[np.int8]  # index into model.grades, -1: none
    figure: NDArray[np.int8]  # index into model.figures, -1: none
    contributions: Contributions
    probability: NDArray[np.float64] | None = None  # by the model trained, 0..1; NaN where the score does not apply

    @property
    def cells(self) -> list[str]:
        """Every cell of the matrix: letter and figure, by letter; none without a matrix."""
        return [f"{letter}{figure}" for letter, _ in self.model.grades for figure, _ in self.model.figures]

    @property
    def cell(self) -> NDArray[np.int32]:
        """Index into `cells` of each row; -1 where the letter or the figure is missing."""
        place = self.grade.astype(np.int32) * len(self.model.figures) + self.figure
        return np.where((self.grade < 0) | (self.figure < 0), -1, place).astype(np.int32)

    def scores(self) -> Iterator[Score]:
        """The scores of everyone they apply to, in the order of rows."""
        return (found for found in self.of(np.arange(len(self.ids))) if found is not None)

    def score(self, row: int) -> Score | None:
        """One person's score; None when it does not apply to them."""
        return self.of(np.array([row]))[0]

    def of(self, rows: NDArray[np.intp]) -> list[Score | None]:
        """The scores of some rows, given in rising order; None for whom it does not apply to.

        They become Python values all at once, at a fraction of the cost of one by one.
        """
        table, names = self.contributions, self.model.lines
        taken, lengths = table.of(rows)
        line, points_of = table.line[taken].tolist(), (table.units[taken] / UNIT).tolist()
        letters: list[str | None] = [*(letter for letter, _ in self.model.grades), None]  # -1 finds the last
        cells: list[str | None] = [*self.cells, None]
        columns = (self.ids, self.applies, self.value, self.grade, self.cell, *self.categories.values())
        chances = [None] * len(rows) if self.probability is None else self.probability[rows].tolist()
        found: list[Score | None] = []
        start = 0
        for stop, chance, person, applies, value, grade, cell, *points in zip(
            np.cumsum(lengths).tolist(), chances, *(column[rows].tolist() for column in columns), strict=True
        ):
            found.append(
                Score(
                    person_id=person,
                    name=self.model.name,
                    value=value,
                    grade=letters[grade],
                    categories=dict(zip(self.categories, points, strict=True)),
                    contributions=Lines(names, line, points_of, start, stop),
                    model=self.model.hash,
                    at=self.at,
                    scale=self.model.scale,
                    cell=cells[cell],
                    probability=chance,
                )
                if applies
                else None
            )
            start = stop
        return found


def score(model: CompiledModel, people: People, activities: Activities, at: datetime) -> ScoreFrame:
    """Score everybody at one instant. Raises ValueError when `at` names no zone."""
    t, n = micros(at), len(people)
    table = np.zeros((len(model.lines), n), np.int64)
    rule_points(model, people, activities, t, table)
    applies = people.facts.every(True) if model.applies is None else model.applies.check(people.facts, t)
    chance = likely.shown(model.predictor, table, applies)
    categories, value = combined(model, table)
    if not applies.all():
        for column in (table, value, *categories.values()):
            column[..., ~applies] = 0

    return ScoreFrame(
        model=model,
        at=at,
        ids=people.ids,
        applies=applies,
        value=value.astype(np.int16),
        categories={name: points / UNIT for name, points in categories.items()},
        grade=_reached(model.grades, categories[model.categories[model.grade_from].name], applies),
        figure=_reached(model.figures, categories[model.categories[model.figure_from].name], applies),
        contributions=_sparse(table),
        probability=chance,
    )


def rule_points(model: CompiledModel, people: People, activities: Activities, t: int, table: Units) -> None:
    """Fill the first lines of the table, shape (lines, people), with what each rule gives by itself, at t."""
    if any(rule.at_most is not None for rule in model.rules):
        activities = activities.in_order()
    matching = Matching(activities, t)
    for index, rule in enumerate(model.rules):
        table[index] = contribution(rule, people, matching, t)


def combined(model: CompiledModel, table: Units) -> tuple[dict[str, Units], NDArray[np.int64]]:
    """Points of the rules to units of each category and the value of the score.

    In the table, shape (lines, people), the line of a trained probability is filled from what the rules give by
    themselves; the lines of rules that lost to another of their group become zero, and those of the bounds and of the
    rounding are filled.
    """
    n = table.shape[1]
    line = len(model.rules)
    if model.predictor is not None:
        table[line] = likely.points(model.predictor, table)
        line += 1
    for group in model.exclusive:
        _keep_largest(table, group)
    total = np.zeros(n, np.int64)
    categories: dict[str, Units] = {}
    for category in model.categories:
        points = np.zeros(n, np.int64)
        for index in category.rules:
            points += table[index]
        points = _bounded(points, category.low, category.high, table[line : line + 2])
        categories[category.name] = points
        total += points
        line += 2
    low, high = model.scale
    total = _bounded(total, low * UNIT, high * UNIT, table[line : line + 2])
    value = (total + UNIT // 2) // UNIT
    table[-1] = value * UNIT - total
    return categories, value


def score_facts(frames: Iterable[ScoreFrame]) -> dict[str, Column]:
    """Columns for conditions: score.NAME, score.NAME.CATEGORY, grade.NAME, matrix.NAME (`schema.known_facts`).

    `score.NAME` is the rounded value that the CRM shows. Where a score does not apply, all of its facts are unknown.
    """
    facts: dict[str, Column] = {}
    for frame in frames:
        name = f"score.{frame.model.name}"
        facts[name] = Numbers(np.where(frame.applies, frame.value, np.nan))
        for category, points in frame.categories.items():
            facts[f"{name}.{category}"] = Numbers(np.where(frame.applies, points, np.nan))
        letters = [letter for letter, _ in frame.model.grades]
        facts[f"grade.{frame.model.name}"] = Coded(frame.grade.astype(np.int32), letters)
        facts[f"matrix.{frame.model.name}"] = Coded(frame.cell, frame.cells)
    return facts


def _keep_largest(table: Units, group: tuple[int, ...]) -> None:
    """Set all rules of the group to zero but each person's largest."""
    given = table[list(group)]
    largest = np.argmax(2 * np.abs(given) + (given > 0), axis=0)  # the first of equals
    table[list(group)] = np.where(np.arange(len(group))[:, None] == largest, given, 0)


def _bounded(points: Units, low: int, high: int, lines: Units) -> Units:
    """The points within the bounds; what each bound changed goes into its line ("at most", then "at least")."""
    capped = np.minimum(points, high)
    bounded = np.maximum(capped, low)
    lines[0] = capped - points
    lines[1] = bounded - capped
    return bounded


def _sparse(table: Units) -> Contributions:
    """What is not zero, by person; turned in pieces that stay in the processor's cache."""
    lines, n = table.shape
    pieces = []
    for start in range(0, n, 1024) or [0]:
        by_person = np.ascontiguousarray(table[:, start : start + 1024].T).ravel()
        filled = np.flatnonzero(by_person != 0)
        person = filled // lines
        pieces.append((person + start, filled - person * lines, by_person[filled]))
    person, line, units = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
    return Contributions(person.astype(np.int32), line.astype(np.int16), units)


def _reached(words: Sequence[tuple[str, int]], points: Units, applies: Mask) -> NDArray[np.int8]:
    """Index of the letter or figure with the highest beginning that is reached; -1 below the lowest one."""
    if not words:
        return np.full(len(applies), -1, np.int8)
    begins = np.array([begin for _, begin in words], np.int64)
    return np.where(applies, np.searchsorted(begins, points, side="right") - 1, -1).astype(np.int8)

"""What is known of a person of what sales wants to know, and what to ask next (`questions:` of the file). Pure.

A question is unknown while its field is, or once the answer is older than it is good for; otherwise it is met when
`enough` holds, and not met when it does not. Completeness is the share of the weights whose question is not unknown,
0..100, rounded half up. To be asked next is the heaviest unknown question; of equals, the first in the file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from leadbridge.columns import MICROS, Coded, Column, Columns, Instants, Numbers, values_of
from leadbridge.conditions import Prepared, prepare
from leadbridge.config.questions import STATES, Question
from leadbridge.types import Value
from scoring import reading

UNKNOWN, MET, NOT_MET = range(len(STATES))
_WEIGHT = 10**6


@dataclass(frozen=True, slots=True)
class CompiledQuestion:
    """One question; lengths in microseconds, weight in millionths."""

    name: str
    ask: str
    field: str
    enough: Prepared | None
    weight: int
    source: str | None
    dated: str | None
    good_for: int | None


@dataclass(frozen=True, eq=False)
class Answers:
    """What is known of n people at one instant."""

    questions: tuple[CompiledQuestion, ...]
    states: NDArray[np.int8]  # (questions, n), index of STATES
    completeness: NDArray[np.int16]  # (n,), 0..100
    facts: Columns
    _read: dict[str, list[Value]] = field(default_factory=dict)

    def columns(self) -> dict[str, Column]:
        """Columns for conditions: known.NAME and completeness; none when there are no questions."""
        found: dict[str, Column] = {
            f"known.{question.name}": Coded(state.astype(np.int32), list(STATES))
            for question, state in zip(self.questions, self.states, strict=True)
        }
        return {**found, "completeness": Numbers(self.completeness.astype(np.float64))} if found else {}

    def next_question(self, row: int) -> str:
        """What to ask this person next; "" when everything is known."""
        unknown = [q for q, state in zip(self.questions, self.states[:, row], strict=True) if state == UNKNOWN]
        return max(unknown, key=lambda question: question.weight).ask if unknown else ""

    def told(self, row: int) -> str:
        """Each question: its state, value, source and date: "budget met (20000, form, 2026-02-01); need unknown"."""
        parts = []
        for question, state in zip(self.questions, self.states[:, row], strict=True):
            words = f"{question.name.replace('_', ' ')} {STATES[state].replace('_', ' ')}"
            if state != UNKNOWN:
                fields = (question.field, question.source, question.dated)
                values = [self._value(name, row) for name in fields if name is not None]
                words += f" ({', '.join(value for value in values if value)})"
            parts.append(words)
        return "; ".join(parts)

    def _value(self, name: str, row: int) -> str:
        if name not in self._read:
            column = self.facts.by_name.get(name)
            self._read[name] = [None] * self.facts.n if column is None else values_of(column)
        value = self._read[name][row]
        return "" if value is None else reading.said(value)

    def values(self, row: int) -> dict[str, str | int | None]:
        """What may be written back of a person."""
        if not self.questions:
            return {}
        return {
            "completeness": int(self.completeness[row]),
            "next_question": self.next_question(row),
            "qualification": self.told(row),
        }


def compile_questions(questions: Mapping[str, Question]) -> tuple[CompiledQuestion, ...]:
    """Make questions ready, in the file's order. Raises ValueError as `conditions.prepare` does."""
    return tuple(
        CompiledQuestion(
            name,
            each.ask,
            each.field,
            None if each.enough is None else prepare(each.enough),
            round(each.weight * _WEIGHT),
            each.source,
            each.dated,
            None if each.good_for is None else round(each.good_for * MICROS),
        )
        for name, each in questions.items()
    )


def answered(questions: tuple[CompiledQuestion, ...], facts: Columns, t: int) -> Answers:
    """What is known of everybody at t (microseconds since 1970)."""
    states = np.zeros((len(questions), facts.n), np.int8)
    known_weight = np.zeros(facts.n, np.int64)
    for place, question in enumerate(questions):
        column = facts.by_name.get(question.field)
        known = facts.every(False) if column is None else column.known.copy()
        dated = facts.by_name.get(question.dated or "")
        if question.good_for is not None and isinstance(dated, Instants):
            known &= ~(dated.known & (dated.at <= t - question.good_for))
        met = known if question.enough is None else known & question.enough.check(facts, t)
        states[place] = np.where(known, np.where(met, MET, NOT_MET), UNKNOWN)
        known_weight += np.where(known, question.weight, 0)
    weights = sum(question.weight for question in questions)
    complete = (200 * known_weight + weights) // (2 * weights) if weights else np.zeros(facts.n, np.int64)
    return Answers(questions, states, complete.astype(np.int16), facts)

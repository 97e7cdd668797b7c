"""Facts to personas: how near a person is to each, and to which one most. Pure.

Nearness is 100 x (weights of the traits that hold) / (all weights), rounded half up: 0..100. A trait on something
unknown does not hold, so that a person of whom little is known is near nobody, rather than near everybody. The
persona of a person is the one they are nearest to, of those whose `at_least` they reach; of equals the first in the
file. Personas look at a person's own fields; rules may look at personas.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from leadbridge.columns import Coded, Column, Columns, Mask, Numbers, micros
from leadbridge.conditions import Prepared, prepare
from leadbridge.config.scores import Persona
from scoring import explain

_WEIGHT = 10**6
"""Weights are counted in millionths, as integers, so that no order of traits shows."""

_MOST = 100


@dataclass(frozen=True, slots=True)
class CompiledPersona:
    """One persona, its traits heaviest first."""

    name: str
    at_least: float
    traits: tuple[tuple[str, int, Prepared], ...]  # name, weight in millionths, condition


@dataclass(frozen=True, eq=False)
class PersonaFrame:
    """Nearness of n people to each persona at one instant."""

    personas: tuple[CompiledPersona, ...]
    nearness: NDArray[np.int16]  # (personas, n), 0..100
    best: NDArray[np.int32]  # (n,) index of a persona, -1: none
    holding: tuple[tuple[Mask, ...], ...]  # by persona and trait

    def facts(self) -> dict[str, Column]:
        """Columns for conditions: persona (unknown for who is like none) and persona.NAME."""
        found: dict[str, Column] = {
            f"persona.{persona.name}": Numbers(near.astype(np.float64))
            for persona, near in zip(self.personas, self.nearness, strict=True)
        }
        if self.personas:
            found["persona"] = Coded(self.best, [persona.name for persona in self.personas])
        return found

    def persona(self, row: int) -> str | None:
        """Name of the persona of a person."""
        best = int(self.best[row])
        return None if best < 0 else self.personas[best].name

    def reasons(self, row: int, limit: int = 3, width: int = 250) -> str:
        """The heaviest traits a person has of their persona: "works in marketing; decision maker"; "" without one."""
        best = int(self.best[row])
        if best < 0:
            return ""
        traits = zip(self.personas[best].traits, self.holding[best], strict=True)
        return explain.joined([name for (name, _, _), holds in traits if holds[row]][:limit], width)

    def values(self, row: int) -> dict[str, str | int | None]:
        """What may be written back of a person: persona, persona_reasons and persona.NAME."""
        if not self.personas:
            return {}
        near = {f"persona.{each.name}": int(self.nearness[place, row]) for place, each in enumerate(self.personas)}
        return {"persona": self.persona(row), "persona_reasons": self.reasons(row), **near}


def compile_personas(personas: Mapping[str, Persona]) -> tuple[CompiledPersona, ...]:
    """Make personas ready, in the file's order. Raises ValueError as `conditions.prepare` does."""
    return tuple(
        CompiledPersona(
            name,
            persona.at_least,
            tuple(
                (trait.name, round(trait.weight * _WEIGHT), prepare(trait.when))
                for trait in sorted(persona.traits, key=lambda trait: -trait.weight)
            ),
        )
        for name, persona in personas.items()
    )


def nearness(personas: tuple[CompiledPersona, ...], facts: Columns, at: datetime) -> PersonaFrame:
    """How near everybody is to each persona. Raises ValueError when `at` names no zone."""
    t = micros(at)
    near = np.zeros((len(personas), facts.n), np.int16)
    best, highest = np.full(facts.n, -1, np.int32), np.full(facts.n, -1, np.int16)
    holding = []
    for index, persona in enumerate(personas):
        holds = tuple(condition.check(facts, t) for _, _, condition in persona.traits)
        weights = [weight for _, weight, _ in persona.traits]
        held = np.zeros(facts.n, np.int64)
        for weight, mask in zip(weights, holds, strict=True):
            held += np.where(mask, weight, 0)
        near[index] = (2 * _MOST * held + sum(weights)) // (2 * sum(weights))
        nearer = (near[index] >= persona.at_least) & (near[index] > highest)
        best[nearer], highest[nearer] = index, near[index][nearer]
        holding.append(holds)
    return PersonaFrame(personas, near, best, tuple(holding))

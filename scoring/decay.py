"""Older activity counts less: by half-life or by steps, down to a floor, and not while a pause holds. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leadbridge.columns import Mask
from leadbridge.conditions import Prepared

Ages = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Decay:
    """How the share of an activity's points that counts goes down with its age in microseconds.

    By `half_life`, or by steps: below ages[i] and not below the age before, shares[i] counts, from the last age on
    nothing. `floor` is the least share. Of whom `pause` holds of nothing decays, however old.
    """

    half_life: float | None
    ages: tuple[int, ...]  # rising
    shares: tuple[float, ...]  # 0..1, falling
    floor: float
    pause: Prepared | None

    @property
    def end(self) -> int | None:
        """Age from which an activity counts nothing, of anybody; None: there is none."""
        return self.ages[-1] if self.ages and not self.floor and self.pause is None else None

    def share(self, age: Ages, paused: Mask | None) -> NDArray[np.float64]:
        """The share of each activity that counts, 0..1; `paused`: of whom each is, does the pause hold?"""
        if self.half_life is not None:
            share = np.exp2(age / -self.half_life)
        else:
            share = np.array([*self.shares, 0.0])[np.searchsorted(self.ages, age, side="right")]
        if self.floor:
            share = np.maximum(share, self.floor)
        return share if paused is None else np.where(paused, 1.0, share)

    def speed(self, age: Ages, paused: Mask | None) -> NDArray[np.float64]:
        """Shares lost per microsecond now by half-life, which only slows down; steps are no speed (`next_step`)."""
        if self.half_life is None:
            return np.zeros(len(age))
        share = np.exp2(age / -self.half_life)
        moving = share > self.floor
        if paused is not None:
            moving &= ~paused
        return np.where(moving, share * (np.log(2) / self.half_life), 0.0)

    def next_step(self, age: Ages) -> tuple[Mask, Ages]:
        """Which activities have a step ahead of them, and at what age the next one is."""
        ahead = np.searchsorted(self.ages, age, side="right")
        some = ahead < len(self.ages)
        return some, np.array([*self.ages, 0], np.int64)[ahead]

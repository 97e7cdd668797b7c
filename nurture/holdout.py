"""Who is kept out of a journey, or gets which variant of it, so that its effect can be measured. Pure."""

import hashlib
from collections.abc import Iterable, Mapping
from itertools import accumulate


def held_out(person_key: str, journey: str, share: float) -> bool:
    """Is this person kept out of this journey? Stable: the same answer for ever, on every machine.

    `share` is 0..1. Raising it only adds people, lowering it only lets some in, because each (person, journey) has
    one fixed place between 0 and 1.
    """
    return share > 0 and _place(journey, person_key) < share


def variant(person_key: str, journey: str, shares: Mapping[str, float], had: Iterable[str] = ()) -> str:
    """Which variant of the journey this person gets. Stable, and independent of who is kept out.

    `shares` are 0..1 by name, in order, and come to 1. `had`: variants of the person's earlier entries, oldest
    first. The oldest that there still is stays, whatever the shares are now: who has had two counts for neither.
    """
    if kept := next((name for name in had if name in shares), ""):
        return kept
    place = _place(f"variant\0{journey}", person_key)
    ends = zip(shares, accumulate(shares.values()), strict=True)
    return next((name for name, end in ends if place < end), list(shares)[-1])  # they may come to a hair less than 1


def _place(drawn_for: str, person_key: str) -> float:
    """One fixed place in [0, 1] for each person in each draw."""
    digest = hashlib.sha256(f"{drawn_for}\0{person_key}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64

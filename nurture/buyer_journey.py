"""How far a person's own thinking has come: awareness, consideration, decision."""

from collections.abc import Mapping

from leadbridge.types import BuyerJourney

FURTHEST_FIRST = tuple(reversed(BuyerJourney))


def phase(holds: Mapping[BuyerJourney, bool]) -> BuyerJourney | None:
    """The furthest phase whose condition holds; None when none does. `holds` has the configured phases only."""
    return next((found for found in FURTHEST_FIRST if holds.get(found, False)), None)

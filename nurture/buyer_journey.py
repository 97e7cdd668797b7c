"""How far a person's own thinking has come: awareness, consideration, decision."""

from collections.abc import Mapping

import numpy as np

from leadbridge.columns import Mask
from leadbridge.types import BuyerJourney

ORDER = tuple(BuyerJourney)


def phases(holds: Mapping[BuyerJourney, Mask], n: int) -> list[BuyerJourney | None]:
    """The furthest phase whose condition holds, of each of n people; None where none does.

    `holds` has the configured phases only.
    """
    found = np.full(n, -1)
    for place, one in enumerate(ORDER):
        if one in holds:
            found[holds[one]] = place
    return [None if place < 0 else ORDER[place] for place in found.tolist()]

"""How much of what a score looks at is known of a person: what tells a low score from an ignorant one. Pure."""

import numpy as np
from numpy.typing import NDArray

from leadbridge.columns import Columns, Mask
from scoring.compile import CompiledModel


def confidence(model: CompiledModel, facts: Columns) -> NDArray[np.int16]:
    """Of the rules that look at a person, the share, 0..100, of which all that they look at is known; rounded half up.

    `facts`: those the rules were given. A rule that looks at activity only needs nothing, since who did nothing is
    known to have done nothing, nor does a test on being present. A score without any other rule: 100.
    """
    known: dict[str, Mask] = {}
    judged = np.zeros(facts.n, np.int64)
    for asked in model.asks:
        whole = facts.every(True)
        for name in asked:
            if name not in known:
                column = facts.by_name.get(name)
                known[name] = facts.every(False) if column is None else column.known
            whole = whole & known[name]
        judged += whole
    of = len(model.asks)
    return ((200 * judged + of) // (2 * of) if of else np.full(facts.n, 100)).astype(np.int16)

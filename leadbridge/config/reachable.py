"""Tests on a score that nothing can ever pass, because the score ends before: a stage that nobody would enter.

Looks at the tree, like the checks of `whole`."""

from collections.abc import Callable, Iterator, Mapping

from leadbridge.config.bind import number
from leadbridge.config.document import Node
from leadbridge.config.facts import Facts

Bounds = tuple[float, float]


def unreachable(tree: Node, _facts: Facts) -> Iterator[tuple[Node, str]]:
    """Every test on a score or on a part of one that is beyond its bounds."""
    bounds = dict(_bounds(tree))
    yield from _below(tree, bounds)


def _bounds(tree: Node) -> Iterator[tuple[str, Bounds]]:
    """The least and the most each score, and each category of one, can be; left out where the file is wrong there."""
    for name, score in tree.below("scores").items():
        places = {f"score.{name}": score}
        places |= {f"score.{name}.{category}": node for category, node in score.below("categories").items()}
        for fact, node in places.items():
            least, most = number(node.written("min") or "0"), number(node.written("max") or "100")
            if least is not None and most is not None and least < most:
                yield fact, (least, most)


def _below(node: Node, bounds: dict[str, Bounds]) -> Iterator[tuple[Node, str]]:
    for key, below in node.entries.items():
        if key in bounds:
            yield from _tested(key, below, bounds[key])
        yield from _below(below, bounds)
    for item in node.items:
        yield from _below(item, bounds)


def _tested(fact: str, test: Node, bounds: Bounds) -> Iterator[tuple[Node, str]]:
    least, most = bounds
    never: Mapping[str, Callable[[float], bool]] = {
        "at_least": lambda given: given > most,
        "above": lambda given: given >= most,
        "at_most": lambda given: given < least,
        "below": lambda given: given <= least,
        "equals": lambda given: not least <= given <= most,
    }
    for key, beyond in never.items():
        place = test.at(key)
        given = number(place.text) if place is not None and place.kind == "text" else None
        if place is not None and given is not None and beyond(given):
            yield place, f"can never hold: {fact} goes from {least:g} to {most:g}; stay within, or move its min or max"

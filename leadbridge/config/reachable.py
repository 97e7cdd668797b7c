"""Tests on a score that nothing can ever pass, because the score ends before: a stage that nobody would enter. And an
`until` of a stage that ends nothing, because whoever it is about fits the stage anew.

Looks at the tree, like the checks of `whole`."""

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

from leadbridge.config.bind import number
from leadbridge.config.document import Node
from leadbridge.config.facts import Facts
from leadbridge.types import LifecycleStage

Bounds = tuple[float, float]


def unreachable(tree: Node, _facts: Facts) -> Iterator[tuple[Node, str]]:
    """Every test on a score or on a part of one that is beyond its bounds."""
    bounds = dict(_bounds(tree))
    yield from _below(tree, bounds)


def _bounds(tree: Node) -> Iterator[tuple[str, Bounds]]:
    """The least and the most each score, and each category of one, can be; left out where the file is wrong there."""
    for name, score in tree.below("scores").items():
        categories = {key: _ends(node) for key, node in score.below("categories").items()}
        known = [ends for ends in categories.values() if ends is not None]
        yield from ((f"score.{name}.{key}", ends) for key, ends in categories.items() if ends is not None)
        own = _ends(score)
        if own is not None and own[0] < own[1] and known and len(known) == len(categories):
            low, high = (min(max(sum(ends), own[0]), own[1]) for ends in zip(*known, strict=True))
            yield f"score.{name}", (low, high)


def _ends(node: Node) -> Bounds | None:
    """`min` and `max` as they are written, or by default; None where they are no numbers in order."""
    least, most = number(node.written("min") or "0"), number(node.written("max") or "100")
    return (least, most) if least is not None and most is not None and least <= most else None


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
        given = _number(place)
        if place is not None and given is not None and beyond(given):
            what = "its min or max" if fact.count(".") > 1 else "the min or max of the score and its categories"
            yield place, f"can never hold: {fact} goes from {least:g} to {most:g}; stay within, or move {what}"


def idle_until(tree: Node, _facts: Facts) -> Iterator[tuple[Node, str]]:
    """Each `until` of a stage that asks a score to be below more than what alone makes people enter it."""
    for name, stage in tree.below("stages").items():
        when = stage.below("when")
        for fact, test in when.items() if len(when) == 1 else ():
            found = (_number(test.at(key)) for key in ("at_least", "above"))
            enters = max((one for one in found if one is not None), default=None)
            for key in ("below", "at_most"):
                place = stage.at("until", fact, key)
                leaves = _number(place)
                if place is not None and enters is not None and leaves is not None and leaves > enters:
                    yield (
                        place,
                        f"ends nothing: from {enters:g} on people enter {name} at once again; write {enters:g} or less",
                    )


def hidden_stages(tree: Node, _facts: Facts) -> Iterator[tuple[Node, str]]:
    """Each stage that nobody enters, because one above takes whoever has as much of the one thing both ask for."""
    ranks = {stage.value: stage.rank for stage in LifecycleStage}
    stages = [(name, node) for name, node in tree.below("stages").items() if name in ranks]
    if any(ranks[above] < ranks[below] for (above, _), (below, _) in pairwise(stages)):
        return  # told by itself: their order is wrong
    above: dict[str, tuple[float, str]] = {}
    for name, stage in stages:
        when = stage.below("when")
        if len(when) != 1:
            continue
        ((fact, test),) = when.items()
        place = test.at("at_least")
        points = _number(place)
        if place is None or points is None or len(test.entries) != 1:
            continue
        if fact in above and above[fact][0] <= points:
            least, other = above[fact]
            yield (
                place,
                f"nobody enters {name}: from {least:g} on people are in {other}, which stands above; write less",
            )
        above[fact] = min(above.get(fact, (points, name)), (points, name))


def _number(node: Node | None) -> float | None:
    return number(node.text) if node is not None and node.kind == "text" else None

"""Segments inside conditions: `segment: smb` means what the segment's own condition means."""

from collections.abc import Mapping

from leadbridge.config.conditions import AllOf, AnyOf, Condition, FieldTest, Not, Test

NOBODY = AnyOf(())


def expand(condition: Condition, segments: Mapping[str, Condition]) -> Condition:
    """The condition with every test on `segment` replaced by the conditions of the segments that pass the test.

    A person may be in several segments at once, which no single value can say; this way each test is answered by
    the segments' own conditions. Segments may name other segments, but not themselves (the loader refuses cycles).
    """
    match condition:
        case FieldTest(field="segment"):
            named = tuple(expand(segments[name], segments) for name in segments if _passes(condition.test, name))
            return AnyOf(named) if named else NOBODY
        case FieldTest():
            return condition
        case Not():
            return Not(expand(condition.part, segments))
        case AllOf():
            return AllOf(tuple(expand(part, segments) for part in condition.parts))
        case AnyOf():
            return AnyOf(tuple(expand(part, segments) for part in condition.parts))


def _passes(test: Test, name: str) -> bool:
    """Does a segment's name pass `equals` or `in`? The loader allows no other test on `segment`."""
    allowed = test.in_ if isinstance(test.in_, list) else [test.equals]
    return name in allowed

"""The reasons behind a score: a short text for a CRM field, and lines that add up for a person who asks."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from leadbridge.types import BOUND_LINE, Contribution

_UNSAFE = re.compile(r'[<>{}|"`\\;]')
"""What HTML, merge tags (*|NAME|*), HubL and other templates are made of; and our own separator."""

_FORMULA = "=+-@'*#% "
"""What a spreadsheet may take for the beginning of a formula, or a mail program for markup."""


def reasons(contributions: Iterable[Contribution], limit: int = 3, width: int = 250) -> str:
    """The rules that matter most, largest first: "decision maker +15; pricing page +12; free mail -10".

    Plain text of at most `width` characters and `limit` reasons, in whole points; a rule that rounds to nothing and
    the bounds are left out. Points are rounded, and rules of equal rounded points keep the order of the
    contributions, so the text changes only when some rule's whole points do, not with each day's decay.

    Nothing a lead wrote enters it. From a rule's name, which the admin wrote, everything goes that HTML, merge tags,
    templates or a spreadsheet could act on (reliability G28); no reason begins with a sign, hence points come last.
    """
    whole = [
        (-abs(points), place, rule, points)
        for place, (_, rule, exact) in enumerate(contributions)
        if (exact >= 0.49 or exact <= -0.49) and (points := _half_up(exact)) and not _is_bound(rule)
    ]
    largest = sorted(whole)
    text = ""
    for _, _, rule, points in largest[:limit]:
        label = _label(rule)
        end = f" {points:+d}"
        if not text and len(label) + len(end) > width:
            label = label[: max(width - len(end) - 1, 0)] + "…"
        longer = f"{text}; {label}{end}" if text else f"{label}{end}"
        if len(longer) > width:
            break
        text = longer
    return text


def joined(names: Iterable[str], width: int = 250) -> str:
    """Names that the admin wrote, as safe as `reasons`: "works in marketing; decision maker"; whole names that fit."""
    text = ""
    for name in names:
        label = _label(name)
        longer = f"{text}; {label}" if text else label[:width]
        if len(longer) > width:
            break
        text = longer
    return text


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an explanation; `points` is text with two decimals and a sign."""

    category: str  # "" for the score as a whole
    rule: str
    points: str


def lines(contributions: Sequence[Contribution]) -> list[Line]:
    """Every line for a table: rules largest first, then the bounds in the order they took effect.

    What is shown adds up: points are shown in hundredths, and the line "rounding" takes what that leaves over.
    """
    bounds = [one for one in contributions if _is_bound(one.rule)]
    rules = sorted((one for one in contributions if not _is_bound(one.rule)), key=lambda one: -abs(one.points))
    shown = [
        (one.category, one.rule, _half_up(100 * one.points)) for one in (*rules, *bounds) if one.rule != "rounding"
    ]
    total = 100 * _half_up(sum(one.points for one in contributions))
    if rest := total - sum(hundredths for _, _, hundredths in shown):
        shown.append(("", "rounding", rest))
    return [Line(category, rule, f"{hundredths / 100:+.2f}") for category, rule, hundredths in shown if hundredths]


def _half_up(points: float) -> int:
    """Nearest whole number; halves away from zero, so that +0.5 and -0.5 look alike."""
    return int(abs(points) + 0.5 + 1e-9) * (1 if points > 0 else -1)


@lru_cache(maxsize=4096)
def _is_bound(rule: str) -> bool:
    return BOUND_LINE.fullmatch(rule) is not None


@lru_cache(maxsize=4096)
def _label(name: str) -> str:
    text = "".join(
        " " if unicodedata.category(letter)[0] in "CZ" else letter for letter in unicodedata.normalize("NFKC", name)
    )
    return " ".join(_UNSAFE.sub(" ", text).split()).lstrip(_FORMULA) or "rule"

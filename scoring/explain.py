"""The reasons behind a score: a short text for a CRM field, and lines that add up for a person who asks."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from leadbridge.types import BOUND_LINE, Contribution
from scoring.engine import ScoreFrame

_UNSAFE = re.compile(r'[<>{}|"`\\;]')
"""What HTML, merge tags (*|NAME|*), HubL and other templates are made of; and our own separator."""

_FORMULA = "=+-@'*#% "
"""What a spreadsheet may take for the beginning of a formula, or a mail program for markup."""

_NEARLY = 1e-9


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
    return _fitting([(_label(rule), points) for _, _, rule, points in sorted(whole)[:limit]], width)


def reasons_of(frame: ScoreFrame, rows: NDArray[np.intp], limit: int = 3, width: int = 250) -> list[str]:
    """The reasons of many, given as rising rows of a frame: what `reasons` says of the contributions of each."""
    table, lines = frame.contributions, frame.model.lines
    taken, lengths = table.of(rows)
    whole = np.abs(table.points[taken]) + (0.5 + _NEARLY)
    points = whole.astype(np.int64) * np.sign(table.units[taken])
    named = ~np.array([_is_bound(rule) for _, rule in lines], np.bool_)
    some = np.flatnonzero((points != 0) & named[table.line[taken]])
    owner, line, points = np.repeat(np.arange(len(rows)), lengths)[some], table.line[taken][some], points[some]
    order = np.lexsort((-np.abs(points), owner))  # equals stay in the order of the contributions
    owner, line, points = owner[order], line[order], points[order]
    begins = np.searchsorted(owner, np.arange(len(rows)))
    ends = np.minimum(np.searchsorted(owner, np.arange(len(rows)), "right"), begins + limit)
    label = [_label(rule) for _, rule in lines]
    said = [(label[code], one) for code, one in zip(line.tolist(), points.tolist(), strict=True)]
    return [_fitting(said[begin:end], width) for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]


def _fitting(largest: Sequence[tuple[str, int]], width: int) -> str:
    """Labels with their points, as many as fit."""
    text = "; ".join([f"{label} {points:+d}" for label, points in largest])
    if len(text) <= width:
        return text
    label, points = largest[0]
    end = f" {points:+d}"
    if len(label) + len(end) > width:
        text = f"{label[: max(width - len(end) - 1, 0)]}…{end}"
        return text if len(text) <= width else ""
    return _fitting(largest[:-1], width)


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
    return int(abs(points) + (0.5 + _NEARLY)) * (1 if points > 0 else -1)


@lru_cache(maxsize=4096)
def _is_bound(rule: str) -> bool:
    return BOUND_LINE.fullmatch(rule) is not None


@lru_cache(maxsize=4096)
def _label(name: str) -> str:
    text = "".join(
        " " if unicodedata.category(letter)[0] in "CZ" else letter for letter in unicodedata.normalize("NFKC", name)
    )
    return " ".join(_UNSAFE.sub(" ", text).split()).lstrip(_FORMULA) or "rule"

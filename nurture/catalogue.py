"""Which asset is the next best one for a person, and why. Pure."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date

from leadbridge.config.catalogue import ONCE, Asset
from leadbridge.types import BuyerJourney

FEW = 5
"""Of fewer people nothing is concluded."""


@dataclass(frozen=True, slots=True)
class Next:
    """The asset to offer next, by its name in the catalogue, and the reason in words."""

    asset: str
    why: str


def next_best(
    catalogue: Mapping[str, Asset],
    *,
    phase: BuyerJourney | None,
    persona: str | None,
    offered: Collection[str],
    used: Collection[str],
    together: Mapping[str, Mapping[str, int]],
    today: date,
    not_for: Collection[str] = (),
) -> Next | None:
    """What most of those who took up the same also took up; else the first of the catalogue that is for the person.

    Only what was neither offered to them nor taken up, has not expired, and is for their phase and persona; and none
    of `not_for`, whose own condition does not hold for them.
    `together[a][b]`: how many people took up both; `together[a][a]`: how many took up a.
    """
    fitting = [
        name
        for name, asset in catalogue.items()
        if name not in offered
        and name not in used
        and name not in not_for
        and not expired(asset, today)
        and asset.phase in (None, phase)
        and (not asset.personas or persona in asset.personas)
    ]
    if not fitting:
        return None
    shares = [
        (together[had].get(name, 0) / together[had][had], -fitting.index(name), name, had)
        for name in fitting
        for had in sorted(used)
        if together.get(had, {}).get(had, 0) >= FEW
    ]
    share, _, name, had = max(shares, default=(0.0, 0, "", ""))
    if share > 0:
        return Next(name, f"{share:.0%} of those who took up {catalogue[had].title} took up this too"
                    if had in catalogue else f"{share:.0%} of those who took up the same took up this too")  # fmt: skip
    first = fitting[0]
    return Next(first, f"for the phase {phase}" if catalogue[first].phase else "for everybody")


def withheld(
    catalogue: Mapping[str, Asset], *, not_for: Collection[str], offered: Collection[str], today: date
) -> dict[str, str]:
    """Which assets no journey offers to this person now, and why: expired, not for them, or given once for ever."""
    found = {}
    for name, asset in catalogue.items():
        if expired(asset, today):
            found[name] = f"{name} expired on {asset.expires}"
        elif name in not_for:
            found[name] = f"{name} is not for them"
        elif asset.type in ONCE and name in offered:
            found[name] = f"was given {name} already"
    return found


def expired(asset: Asset, today: date) -> bool:
    """Is the last day over on which it is offered?"""
    return asset.expires is not None and today > date.fromisoformat(asset.expires)


def place(url: str) -> str:
    """An address as assets are found by it: without scheme, www, query and a slash at the end."""
    bare = re.sub(r"^[a-z]+://(www\.)?", "", url.strip().casefold())
    return re.split(r"[?#]", bare, maxsplit=1)[0].rstrip("/")

"""Which asset is the next best one for a person, and why. Pure."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date

from leadbridge.config.catalogue import Asset
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
) -> Next | None:
    """What most of those who took up the same also took up; else the first of the catalogue that is for the person.

    Only what was neither offered to them nor taken up, has not expired, and is for their phase and persona.
    `together[a][b]`: how many people took up both; `together[a][a]`: how many took up a.
    """
    fitting = [
        name
        for name, asset in catalogue.items()
        if name not in offered
        and name not in used
        and (asset.expires is None or today <= date.fromisoformat(asset.expires))
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


def place(url: str) -> str:
    """An address as assets are found by it: without scheme, www, query and a slash at the end."""
    bare = re.sub(r"^[a-z]+://(www\.)?", "", url.strip().casefold())
    return re.split(r"[?#]", bare, maxsplit=1)[0].rstrip("/")

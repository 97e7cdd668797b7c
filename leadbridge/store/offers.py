"""What each person was offered, and what they took up: nothing is offered to one person twice."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from leadbridge.store.engine import among
from leadbridge.store.rows import tuples, upsert
from leadbridge.store.tables import offers


@dataclass(frozen=True, slots=True)
class Offer:
    """One asset and one person. `journey` is the one that offered it; None: the person found it alone."""

    person_id: int
    asset: str
    journey: str | None
    offered_at: datetime | None
    used_at: datetime | None


def offered(tx: Connection, rows: Iterable[tuple[int, str, str]], now: datetime) -> None:
    """(person, asset, journey): offered now; the first offer stays."""
    _note(tx, [(person, asset, journey, now, None) for person, asset, journey in sorted(set(rows))])


def used(tx: Connection, rows: Iterable[tuple[int, str, datetime]]) -> set[int]:
    """(person, asset, when): taken up then; the first time stays. Returns who took up something new."""
    first: dict[tuple[int, str], datetime] = {}
    for person, asset, at in rows:
        first[person, asset] = min(at, first.get((person, asset), at))
    known = of(tx, {person for person, _ in first})
    new = {
        (person, asset): at
        for (person, asset), at in first.items()
        if (had := known.get(person, {}).get(asset)) is None or had.used_at is None
    }
    _note(tx, [(person, asset, None, None, at) for (person, asset), at in sorted(new.items())])
    return {person for person, _ in new}


def took_up(tx: Connection, person_ids: Collection[int], assets: Collection[str], at: datetime) -> dict[int, int]:
    """How many of these assets each of these people had taken up by then; who took up none is left out."""
    query = select(offers.c.person_id, func.count()).where(
        among(tx, offers.c.person_id, sorted(set(person_ids))),
        among(tx, offers.c.asset, sorted(assets)),
        offers.c.used_at <= at,
    )
    return dict(tx.execute(query.group_by(offers.c.person_id)).all())


def _note(tx: Connection, rows: list[tuple[int, str, str | None, datetime | None, datetime | None]]) -> None:
    names = ("person_id", "asset", "journey", "offered_at", "used_at")
    upsert(
        tx,
        offers,
        [dict(zip(names, row, strict=True)) for row in rows],
        key=["person_id", "asset"],
        change=lambda new: {name: func.coalesce(offers.c[name], new[name]) for name in names[2:]},
    )


def of(tx: Connection, person_ids: Collection[int]) -> dict[int, dict[str, Offer]]:
    """What these people were offered or took up, by person and asset."""
    found: dict[int, dict[str, Offer]] = defaultdict(dict)
    query = select(offers).where(among(tx, offers.c.person_id, sorted(set(person_ids)))).order_by(offers.c.asset)
    for row in tx.execute(query):
        found[row.person_id][row.asset] = Offer(row.person_id, row.asset, row.journey, row.offered_at, row.used_at)
    return dict(found)


def offered_to(tx: Connection, person_ids: Collection[int]) -> dict[int, tuple[tuple[str, str | None], ...]]:
    """What these people were offered, by person: each asset with the journey that offered it."""
    found: dict[int, list[tuple[str, str | None]]] = defaultdict(list)
    query = select(offers.c.person_id, offers.c.asset, offers.c.journey).where(
        among(tx, offers.c.person_id, sorted(set(person_ids))), offers.c.offered_at.is_not(None)
    )
    for person, asset, journey in tuples(tx, query.order_by(offers.c.asset)):
        found[person].append((asset, journey))
    return {person: tuple(assets) for person, assets in found.items()}


def together(tx: Connection) -> Mapping[str, Mapping[str, int]]:
    """For each asset: how many took up each other one too; under its own name, how many took it up."""
    one, other = offers.alias("one"), offers.alias("other")
    query = (
        select(one.c.asset, other.c.asset, func.count())
        .join(other, other.c.person_id == one.c.person_id)
        .where(one.c.used_at.is_not(None), other.c.used_at.is_not(None))
        .group_by(one.c.asset, other.c.asset)
    )
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for asset, second, count in tx.execute(query):
        found[asset][second] = count
    return dict(found)

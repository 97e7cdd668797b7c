"""What people took up of the catalogue, and what to offer them next."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from weakref import WeakKeyDictionary

from sqlalchemy import Connection

from leadbridge.store import offers
from leadbridge.store.text import from_micros
from leadbridge.types import ActivityKind, PersonId, Value
from nurture import catalogue
from scoring.frames import KIND_CODES
from sync.loading import Loaded
from sync.outlook import Outlook, Scorer

NEXT = ("next_asset", "next_asset_url", "next_asset_code", "next_asset_reason")
"""Values that write-back may show."""

TAKING_UP = (
    ActivityKind.PAGE_VIEW, ActivityKind.FILE_DOWNLOADED, ActivityKind.EMAIL_CLICKED, ActivityKind.FORM_SUBMITTED,
    ActivityKind.WEBINAR_ATTENDED,
)  # fmt: skip
"""What counts as having taken an asset up, when it happens at the asset's address."""

LASTS = timedelta(hours=1)

_together: WeakKeyDictionary[Scorer, tuple[datetime, Mapping[str, Mapping[str, int]]]] = WeakKeyDictionary()
"""What is taken up together changes slowly, and to count it reads every offer: kept for an hour."""


def note_used(tx: Connection, scorer: Scorer, loaded: Loaded, people: Collection[PersonId]) -> set[PersonId]:
    """Note what these of the loaded people took up, by the address it happened at; returns who took up something new:
    what they learned, and what is next for them, is to be looked at once more."""
    at_place = {catalogue.place(one.url): name for name, one in scorer.config.catalogue.items() if one.url}
    done = loaded.activities
    if not at_place or not len(done):
        return set()
    urls = (document.get("url") for document in done.documents.documents)
    asset_of = [at_place.get(catalogue.place(url)) if isinstance(url, str) else None for url in urls]
    kinds, wanted = {KIND_CODES[kind] for kind in TAKING_UP}, set(people)
    rows = zip(done.person.tolist(), done.kind.tolist(), done.at.tolist(), done.documents.codes.tolist(), strict=True)
    return offers.used(
        tx,
        [
            (person, asset, from_micros(at))
            for row, kind, at, code in rows
            if code >= 0 and kind in kinds and (asset := asset_of[code])
            if (person := int(loaded.people.ids[row])) in wanted
        ],
    )


def with_next_asset(tx: Connection, scorer: Scorer, outlooks: Sequence[Outlook], at: datetime) -> list[Outlook]:
    """The same, with the next best asset among the values to show, where the configuration shows it."""
    shown = [name for name in NEXT if name in scorer.config.write_back]
    if not shown or not scorer.config.catalogue:
        return list(outlooks)
    had = offers.of(tx, [outlook.person_id for outlook in outlooks])
    together = _counted(tx, scorer, at)
    found = []
    for outlook in outlooks:
        mine = had.get(outlook.person_id, {})
        best = catalogue.next_best(
            scorer.config.catalogue,
            phase=outlook.buyer_journey,
            persona=_text(outlook.wanted.get("persona")),
            offered={name for name, one in mine.items() if one.offered_at is not None},
            used={name for name, one in mine.items() if one.used_at is not None},
            together=together,
            today=at.date(),
            not_for=outlook.not_for,
        )
        asset = scorer.config.catalogue[best.asset] if best else None
        values: dict[str, Value] = {
            "next_asset": asset.title if asset else None,
            "next_asset_url": asset.url if asset else None,
            "next_asset_code": asset.code or None if asset else None,
            "next_asset_reason": best.why if best else None,
        }
        found.append(outlook._replace(wanted={**outlook.wanted, **{name: values[name] for name in shown}}))
    return found


def _counted(tx: Connection, scorer: Scorer, at: datetime) -> Mapping[str, Mapping[str, int]]:
    known = _together.get(scorer)
    if known is None or at - known[0] >= LASTS:
        known = _together[scorer] = (at, offers.together(tx))
    return known[1]


def _text(value: Value) -> str | None:
    return value if isinstance(value, str) else None

"""Telling the platform who is out of a journey again. Safe to repeat: setting an exit tag twice is setting it once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from connectors.base import EmailPlatform
from leadbridge import logs
from leadbridge.errors import FeatureMissing, NeedsOperator, VendorError
from leadbridge.store import enrolments, exits
from leadbridge.store.engine import Store
from nurture.journeys import Matcher

log = logs.logger(__name__)

PAGE = 100


@dataclass(slots=True)
class Left:
    """What became of the exits."""

    told: int = 0
    needless: int = 0  # overtaken by a later entry, or without a way out


def tell_exits(store: Store, platform: EmailPlatform, matcher: Matcher, *, simultaneous: int = 4) -> Left:
    """Take everybody whose journey is over out of it at the platform. What fails stays to be told.

    An exit that a later entry into the same journey has overtaken is not told: it would end the new one. A journey is
    the same under every name the file ever gave it.
    """

    def way(row: enrolments.EnrolmentRow) -> str:
        return matcher.way_now(row.trigger, row.journey, row.variant)

    done, after = Left(), 0
    with ThreadPoolExecutor(simultaneous) as pool:
        while True:
            with store.reading() as tx:
                rows = exits.to_tell(tx, after=after, limit=PAGE)
                later = _overtaken(matcher, enrolments.history(tx, [row.person_id for row in rows]), rows)
            if not rows:
                return done
            after = rows[-1].id
            telling = [row for row in rows if row.id not in later and platform.can_leave(way(row))]
            try:
                heard = list(pool.map(lambda row: _tell(platform, row, way(row)), telling))
            except NeedsOperator as error:
                log.warning("exits paused", vendor=error.vendor, why=error.problem)
                return done
            ended = [row.id for row, ok in zip(telling, heard, strict=True) if ok]
            needless = [row.id for row in rows if row not in telling]
            with store.writing() as tx:
                exits.told(tx, ended)
            with store.writing() as tx:
                exits.told(tx, needless, needless=True)
            done.told += len(ended)
            done.needless += len(needless)


def _overtaken(
    matcher: Matcher, history: dict[int, list[enrolments.EnrolmentRow]], rows: list[enrolments.EnrolmentRow]
) -> set[int]:
    """Ids of those rows whose person has a later entry into the same journey that may still go, or went."""
    alive = enrolments.WAITING | enrolments.CONTACT

    def journey(row: enrolments.EnrolmentRow) -> str:
        return matcher.name_now(row.trigger, row.journey)

    return {
        row.id
        for row in rows
        if any(
            journey(other) == journey(row) and other.entry > row.entry and other.state in alive
            for other in history.get(row.person_id, ())
        )
    }


def _tell(platform: EmailPlatform, row: enrolments.EnrolmentRow, way: str) -> bool:
    """Has the platform heard of it, or is nobody there to hear of? False: to be told again."""
    try:
        platform.leave(way, row.address)
    except NeedsOperator:
        raise
    except FeatureMissing:
        return True
    except VendorError as error:
        log.warning("exit not told", vendor=error.vendor, enrolment=row.id, why=error.problem)
        return False
    return True

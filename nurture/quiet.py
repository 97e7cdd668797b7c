"""When it is night where a person lives. Pure."""

from collections.abc import Iterable
from datetime import datetime, time, timedelta
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo, available_timezones

from leadbridge.columns import fold
from leadbridge.config.countries import SPELLINGS
from leadbridge.config.guards import QuietHours
from leadbridge.types import Value

NOWHERE = {"Factory", "localtime"}
"""Names that come with the zones and say nothing of where a person lives: the second is this machine's own."""

NEVER = timedelta(days=2)
"""How far ahead a moment is looked for; zones half a world apart may have none that is day in all of them."""


def zones_of(hours: QuietHours, timezone: Value, country: Value) -> tuple[str, ...]:
    """The zones a person may live in: their own, else every one of their country, else those of `elsewhere`."""
    if isinstance(timezone, str) and (zone := _zones_by_name().get(_plain(timezone))):
        return (zone,)
    if isinstance(country, str) and (found := _zones_of_country(fold(country))):
        return found
    return tuple(hours.elsewhere)


def quiet_until(hours: QuietHours, zones: Iterable[str], now: datetime) -> datetime | None:
    """The first moment from `now` on at which it is day in all these zones; None when that is now.

    The clock there decides, so that a change to summer time moves it. `now + NEVER` where there is no such moment.
    """
    start, end = time.fromisoformat(hours.from_), time.fromisoformat(hours.to)
    there = [ZoneInfo(name) for name in zones]
    at = now
    while late := [_end(at, zone, start, end) for zone in there if _is_quiet(at, zone, start, end)]:
        at = max(late)
        if at - now >= NEVER:
            return now + NEVER
    return None if at == now else at


def _is_quiet(at: datetime, zone: ZoneInfo, start: time, end: time) -> bool:
    clock = at.astimezone(zone).time()
    return start <= clock < end if start < end else clock >= start or clock < end


def _end(at: datetime, zone: ZoneInfo, start: time, end: time) -> datetime:
    """When the quiet that `at` lies in is over there."""
    local = at.astimezone(zone)
    day = local.date() + timedelta(days=start > end and local.time() >= start)
    found = datetime.combine(day, end, zone).astimezone(at.tzinfo)
    # Where the clock is put back over the end, the hour comes twice: it is over the second time.
    return found if found > at else datetime.combine(day, end, zone).replace(fold=1).astimezone(at.tzinfo)


@cache
def _zones_by_name() -> dict[str, str]:
    return {_plain(name): name for name in available_timezones() - NOWHERE}


def _plain(name: str) -> str:
    """As names are compared; HubSpot writes europe_slash_madrid."""
    return name.strip().casefold().replace("_slash_", "/").replace(" ", "_")


@cache
def _zones_of_country(folded: str) -> tuple[str, ...]:
    code = next((code for code, names in SPELLINGS.items() if folded in names), folded.upper())
    return _by_country().get(code, ())


@cache
def _by_country() -> dict[str, tuple[str, ...]]:
    """Time zones by two-letter country code, from the IANA table that comes with the zones."""
    found: dict[str, tuple[str, ...]] = {}
    for line in (files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            code, _, zone, *_ = line.split("\t")
            found[code] = (*found.get(code, ()), zone)
    return found

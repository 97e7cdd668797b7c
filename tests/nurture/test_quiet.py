"""Nobody is put into a journey at night, by the clock where they live (reliability G24, fault 35)."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadbridge.config.guards import QuietHours
from nurture.quiet import NEVER, quiet_until, zones_of


def hours(start: str = "21:00", end: str = "08:00", elsewhere: tuple[str, ...] = ("Europe/Madrid",)) -> QuietHours:
    return QuietHours.model_validate({"from": start, "to": end, "elsewhere": list(elsewhere)})


def is_day(at: datetime, zone: str, start: str = "21:00", end: str = "08:00") -> bool:
    """The rule said once more, by other means: count from the end of the quiet."""
    clock = at.astimezone(ZoneInfo(zone)).time()
    first, last = time.fromisoformat(end), time.fromisoformat(start)
    return first <= clock < last if first < last else clock >= first or clock < last


@pytest.mark.parametrize("name", ["localtime", "Factory", "Mars/Phobos", "+05:30", "../Europe/Madrid", "\0", 5, True])
def test_a_zone_nobody_lives_in_is_an_unknown_one(name: str | int) -> None:
    assert zones_of(hours(), name, None) == ("Europe/Madrid",)


ZONES = ("Europe/Madrid", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns", "UTC")
TIMES = st.integers(0, 23).map(lambda hour: f"{hour:02}:30")


@given(
    at=st.integers(0, 3 * 365 * 24 * 60).map(
        lambda minutes: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    ),
    zone=st.sampled_from(ZONES),
    start=TIMES,
    end=TIMES,
)
def test_the_moment_named_is_day_and_every_moment_before_it_is_night(
    at: datetime, zone: str, start: str, end: str
) -> None:
    if start == end:
        return
    until = quiet_until(hours(start, end), [zone], at)
    assert (until is None) is is_day(at, zone, start, end)
    if until is not None:
        assert is_day(until, zone, start, end)
        steps = int((until - at) / timedelta(minutes=5))
        assert not any(is_day(at + timedelta(minutes=5) * n, zone, start, end) for n in range(steps))


@pytest.mark.parametrize(
    ("night", "morning"),
    [
        ("2026-03-28T23:00", "2026-03-29T06:00"),  # the clock goes forward: 8 h in Madrid come an hour earlier
        ("2026-10-24T23:00", "2026-10-25T07:00"),  # and back: an hour later
        ("2026-07-01T21:30", "2026-07-02T06:00"),
    ],
)
def test_a_change_of_the_clock_moves_the_morning(night: str, morning: str) -> None:
    at = datetime.fromisoformat(f"{night}+00:00")
    assert quiet_until(hours(), ["Europe/Madrid"], at) == datetime.fromisoformat(f"{morning}+00:00")


def test_of_several_zones_it_has_to_be_day_in_all() -> None:
    morning_in_spain = datetime(2026, 6, 1, 9, tzinfo=UTC)
    zones = ["Europe/Madrid", "America/New_York"]
    assert quiet_until(hours(), ["Europe/Madrid"], morning_in_spain) is None
    assert quiet_until(hours(), zones, morning_in_spain) == datetime(2026, 6, 1, 12, tzinfo=UTC)


def test_where_it_is_never_day_everywhere_nobody_is_called() -> None:
    at = datetime(2026, 6, 1, 9, tzinfo=UTC)
    assert quiet_until(hours(), ["Europe/Madrid", "Pacific/Auckland", "America/New_York"], at) == at + NEVER


@pytest.mark.parametrize(
    ("timezone", "country", "found"),
    [
        ("Europe/Berlin", "US", ("Europe/Berlin",)),  # the person's own zone says most
        ("europe_slash_berlin", None, ("Europe/Berlin",)),  # as HubSpot writes it
        (None, "Deutschland", ("Europe/Berlin", "Europe/Busingen")),
        ("nonsense", "jp", ("Asia/Tokyo",)),
        (None, "Atlantis", ("Europe/Madrid",)),
        (None, None, ("Europe/Madrid",)),
    ],
)
def test_the_zone_is_the_persons_own_or_every_one_of_the_country_or_the_strictest(
    timezone: str | None, country: str | None, found: tuple[str, ...]
) -> None:
    assert zones_of(hours(), timezone, country) == found


def test_a_country_of_many_zones_counts_with_all_of_them() -> None:
    american = zones_of(hours(), None, "United States")
    assert {"America/New_York", "Pacific/Honolulu"} <= set(american)

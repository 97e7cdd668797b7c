"""When to try again, and when to stop trying (reliability pattern 14). Pure."""

from datetime import datetime, timedelta

TRIES = 5
LONGEST = timedelta(minutes=15)
FIRST = timedelta(seconds=5)


def next_try(attempts: int, now: datetime) -> datetime | None:
    """The instant of the next try after `attempts` tries, doubling up to 15 minutes; None when tries are spent."""
    if attempts >= TRIES:
        return None
    return now + min(FIRST * float(2 ** max(0, attempts - 1)), LONGEST)

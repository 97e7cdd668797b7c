"""When to try again, and when to stop trying (reliability pattern 14). Pure."""

from datetime import datetime, timedelta

TRIES = 5
LONGEST = timedelta(minutes=15)
FIRST = timedelta(seconds=15)
GROWTH = 4
"""Five tries over twenty minutes: a vendor that stumbles for a while does not send its records to quarantine."""


def next_try(attempts: int, now: datetime) -> datetime | None:
    """The instant of the next try after `attempts` tries: 15 s, 1, 4, 15 minutes later; None when tries are spent."""
    if attempts >= TRIES:
        return None
    return now + min(FIRST * float(GROWTH ** max(0, attempts - 1)), LONGEST)

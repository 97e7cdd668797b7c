"""When to try again, and when to stop trying (reliability patterns 14 and 17). Pure."""

from datetime import datetime, timedelta

import tenacity

from leadbridge.errors import StoreConflict

TRIES = 5
LONGEST = timedelta(minutes=15)
FIRST = timedelta(seconds=15)
GROWTH = 4
"""Five tries over twenty minutes: a vendor that stumbles for a while does not send its records to quarantine."""

AGAIN = timedelta(seconds=30)
"""Before a vendor that could not be reached is asked again: with a sweep, all goes on within a minute of its return
(G32). Meanwhile the breaker lets one call through now and then."""


def next_try(attempts: int, now: datetime) -> datetime | None:
    """The instant of the next try after `attempts` tries: 15 s, 1, 4, 15 minutes later; None when tries are spent."""
    if attempts >= TRIES:
        return None
    return now + min(FIRST * float(GROWTH ** max(0, attempts - 1)), LONGEST)


on_conflict = tenacity.retry(
    retry=tenacity.retry_if_exception_type(StoreConflict),
    stop=tenacity.stop_after_attempt(TRIES),
    wait=tenacity.wait_random(0, 0.2),
    reraise=True,
)
"""Do this step again at once when the database ended its transaction. For steps that may be killed and repeated."""

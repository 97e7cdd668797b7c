"""What a contact and its company held before: HubSpot's history of each property, put together (section 5.1).

HubSpot keeps a limited number of values of each property. What it forgot is unknown, never today's value.
"""

from collections.abc import Iterator
from datetime import datetime
from itertools import groupby

from connectors.hubspot.wire import Record
from connectors.values import moment

Values = dict[str, str]


def moments(
    contact: Record, company: Record | None, since: datetime, until: datetime
) -> Iterator[tuple[datetime, Values, Values]]:
    """Each instant before `until` at which something changed, oldest first: properties of both from then on.

    Of those before `since` the last one only; nothing is told of the time before the contact was there.
    """
    changes = sorted(
        (at, holder, name, entry.value)
        for holder, record in enumerate((contact, company))
        for name, entries in (record.history.items() if record else ())
        for entry in entries
        if (at := moment(entry.timestamp)) is not None and at < until
    )
    values: tuple[Values, Values] = {}, {}
    last: datetime | None = None
    for at, together in groupby(changes, key=lambda change: change[0]):
        if at > since and last is not None and last <= since:
            yield last, dict(values[0]), dict(values[1])
        for _, holder, name, value in together:
            values[holder][name] = value
        if not values[0]:
            continue
        last = at
        if at > since:
            yield at, dict(values[0]), dict(values[1])
    if last is not None and last <= since:
        yield last, dict(values[0]), dict(values[1])

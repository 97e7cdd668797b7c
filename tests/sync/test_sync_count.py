"""Everything the CRM has is here, counted there and here (requirement N8)."""

from datetime import date, timedelta

from sync import count
from sync.count import Month
from tests.helpers.syncing import Moving, Stage


def counted(made: Stage) -> list[Month]:
    return list(count.by_month(made.store, made.parts.crms))


def test_what_a_pull_did_not_see_is_lacking_in_its_month_until_everything_is_read_again(
    made: Stage, time: Moving
) -> None:
    hubspot, days = made.sandbox.hubspot, (10, 40, 41, 100)
    assert counted(made) == []  # never pulled: nothing to say
    for n, ago in enumerate(days):
        at = time.at - timedelta(days=ago)
        hubspot.add_contact({"email": f"p{n}@acme.example"}, created_at=at, modified_at=at)
    made.sync()
    found = counted(made)
    assert sum(one.there for one in found) == sum(one.here for one in found) == len(days)
    assert {one.month for one in found if one.there} == {_month(time, ago) for ago in days}
    assert {one.lacking for one in found} == {0}

    for ago in (40, 3000):  # as an import does that leaves dates behind, and one before all that we know
        at = time.at - timedelta(days=ago)
        hubspot.add_contact({"email": f"late{ago}@acme.example"}, created_at=at, modified_at=at)
    made.sync()
    assert {one.month: one.lacking for one in counted(made) if one.lacking} == {_month(time, 40): 1, None: 1}
    made.sync(full=True)
    assert [one for one in counted(made) if one.lacking] == []


def test_what_was_archived_is_counted_neither_there_nor_here(made: Stage, time: Moving) -> None:
    at = time.at - timedelta(days=40)
    records = [made.sandbox.hubspot.add_contact({"email": f"p{n}@acme.example"}, created_at=at) for n in range(3)]
    made.sync()
    made.sandbox.hubspot.archive_contact(records[0])
    made.sync(full=True)
    assert [(one.there, one.here) for one in counted(made) if one.there or one.here] == [(2, 2)]


def _month(time: Moving, ago: int) -> date:
    return (time.at - timedelta(days=ago)).date().replace(day=1)

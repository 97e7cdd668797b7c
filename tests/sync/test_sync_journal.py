"""HubSpot's webhooks journal fills the gaps of webhooks, and nothing has an effect twice (reliability G3, G13, G17)."""

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from leadbridge.errors import VendorError
from leadbridge.sandbox.hubspot import CLIENT_ID
from leadbridge.store import inbox, leads
from leadbridge.store.engine import Store
from leadbridge.store.tables import records
from leadbridge.types import RecordRef
from sync import events, pull, setup
from sync.sources import Pulled
from tests.helpers.syncing import BASE, Moving, Stage, journey, stage
from tests.webhooks.conftest import on_sqlite

APP = {"journal_client_id": CLIENT_ID, "journal_client_secret": "sandbox-hubspot-secret"}
WHERE = "connections.hubspot.journal_client_id"
either = pytest.mark.parametrize("status", [404, 0], ids=["told", "silent"])


@pytest.fixture
def made(store: Store) -> Iterator[Stage]:
    with stage(store, journey(), hubspot=APP) as made:
        yield made


def catch_up(made: Stage) -> Pulled:
    """What a worker does every few minutes, and at once after a gap."""
    found = pull.pull(made.store, made.parts.crms, None)
    events.work(made.store, made.parts.crms, owner="w1")
    return found


def gone(made: Stage) -> set[str]:
    with made.store.reading() as tx:
        rows = tx.execute(sa.select(records.c.record_id).where(records.c.gone_at.is_not(None)))
        return set(rows.scalars())


def knows(made: Stage, record_id: str) -> bool:
    with made.store.reading() as tx:
        return bool(leads.people_by_key(tx, [RecordRef("hubspot", "contact", record_id).key]))


def test_what_no_webhook_told_is_known_after_the_next_pull(made: Stage) -> None:
    stays, archived, erased, first, second = (made.lead() for _ in range(5))
    made.sync()
    made.sandbox.hubspot.archive_contact(archived)
    made.sandbox.hubspot.gdpr_delete(erased)
    merged = made.sandbox.hubspot.merge(first, second)
    made.edit(stays, jobtitle="Director")
    found = catch_up(made)
    assert found.told >= 3
    assert gone(made) >= {archived, first, second}
    assert knows(made, merged)
    assert not knows(made, erased)  # forgotten, whole (G25)
    assert catch_up(made).told == 0


def test_what_a_webhook_told_is_not_read_a_second_time(made: Stage) -> None:
    one, other = made.lead(), made.lead()
    made.sync()
    made.edit(one, jobtitle="Director")
    made.event(
        {
            "subscriptionType": "contact.propertyChange", "objectId": int(one), "propertyName": "jobtitle",
            "propertyValue": "Director", "portalId": 62515, "eventId": 1, "occurredAt": 1,
        }
    )  # fmt: skip
    assert made.act().events.done == 1
    written = len(made.effects("property_changed"))
    made.edit(other, jobtitle="Director")  # this one the pull reads, before it looks at the journal
    found = pull.pull(made.store, made.parts.crms, None)
    assert (found.told, made.calls("journal.file")) == (0, 1)
    with made.store.reading() as tx:
        assert inbox.pending(tx) == 0
    done = made.act()
    assert (done.events.done, done.written.written) == (0, 1)
    assert len(made.effects("property_changed")) > written
    assert made.act().written.written == 0


def test_our_own_writes_are_no_news(made: Stage) -> None:
    made.lead()
    made.sync()
    assert made.effects("property_changed")
    assert catch_up(made).told == 0


@either
def test_a_place_that_expired_has_every_record_compared(made: Stage, time: Moving, status: int) -> None:
    made.sandbox.hubspot.settings.journal_expired_status = status
    erased, stays = made.lead(), made.lead()
    made.sync()
    made.edit(stays, jobtitle="Director")  # so that there is a place to be lost
    catch_up(made)
    made.sandbox.hubspot.gdpr_delete(erased)
    made.sandbox.hubspot.webhooks.journal.latest()  # published now
    time.on(days=4)  # as the journal keeps three, nobody tells of it any more
    found = catch_up(made)
    assert found.compared == 1  # the other one the pull has just read
    assert gone(made) == {erased}


@either
def test_in_a_quiet_account_a_place_whose_file_is_gone_costs_nothing(made: Stage, time: Moving, status: int) -> None:
    made.sandbox.hubspot.settings.journal_expired_status = status
    record = made.lead()
    made.sync()
    made.edit(record, jobtitle="Director")
    catch_up(made)
    for _ in range(3):
        time.on(days=1.5)
        assert catch_up(made).compared == 0
    made.sandbox.hubspot.gdpr_delete(record)
    catch_up(made)
    assert not knows(made, record)


def test_broken_off_it_goes_on_from_the_last_file_that_was_stored(made: Stage) -> None:
    people = [made.lead() for _ in range(3)]
    made.sync()
    for record in people:
        made.sandbox.hubspot.gdpr_delete(record)
        made.sandbox.hubspot.webhooks.journal.latest()  # a file of its own
    made.fault("status", "journal.file", skip=1, times=50)
    with pytest.raises(VendorError, match="storage service"):
        catch_up(made)
    events.work(made.store, made.parts.crms, owner="w1")
    assert [knows(made, record) for record in people] == [False, True, True]
    made.sandbox.world.faults.clear()
    catch_up(made)
    assert [knows(made, record) for record in people] == [False] * 3


@on_sqlite
def test_an_account_without_a_journal_goes_on_as_before_and_is_told(store: Store) -> None:
    with stage(store, journey(), hubspot=APP) as made:
        made.sandbox.hubspot.settings.journal = False
        record = made.lead()
        assert pull.pull(store, made.parts.crms, None).missing == ["hubspot.journal"]
        made.edit(record, jobtitle="Director")
        assert catch_up(made).changed == 1
        (fault,) = (one for one in setup.faults(made.parts) if one.where == WHERE)
        assert "leave journal_client_id" in fault.hint


@on_sqlite
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"journal_client_secret": "another"}, "journal_client_secret"),
        ({"journal_scopes": ["webhooks-journal-data-access"]}, "journal_scopes"),
    ],
)
def test_an_app_that_gets_no_token_is_told_what_to_check(store: Store, wrong: dict[str, Any], words: str) -> None:
    with stage(store, journey(), hubspot=APP | wrong) as made:
        assert pull.pull(store, made.parts.crms, None).missing == ["hubspot.journal"]
        (fault,) = (one for one in setup.faults(made.parts) if one.where == WHERE)
        assert words in fault.problem
        assert "another" not in fault.problem


@on_sqlite
def test_files_are_fetched_from_allowed_hosts_only_and_without_our_token(store: Store) -> None:
    with stage(store, journey(), hubspot=APP) as made:
        record = made.lead()
        made.sync()
        made.sandbox.hubspot.webhooks.journal.host = "https://files.evil.example"
        made.sandbox.hubspot.gdpr_delete(record)
        assert catch_up(made).missing == ["hubspot.journal"]
        made.sandbox.hubspot.webhooks.journal.host = None
        catch_up(made)  # the stand-in refuses whoever shows a token
        assert not knows(made, record)


@on_sqlite
def test_apply_subscribes_once_and_plan_shows_what_is_missing(store: Store) -> None:
    with stage(
        store, journey(), hubspot=APP, fields=BASE["fields"] | {"employees": {"hubspot": "company.numberofemployees"}}
    ) as made:
        subscribed = made.sandbox.hubspot.webhooks.journal.subscriptions
        kinds = {(one["subscriptionType"], one["objectTypeId"]) for one in subscribed}
        assert kinds == {
            ("OBJECT", "0-1"), ("GDPR_PRIVACY_DELETION", "0-1"), ("ASSOCIATION", "0-1"), ("OBJECT", "0-2"),
        }  # fmt: skip
        assert setup.plan(made.parts) == []
        made.apply()
        assert len(subscribed) == len(kinds)
        subscribed.clear()
        assert len(setup.plan(made.parts)) == len(kinds)

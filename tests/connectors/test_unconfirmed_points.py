"""Points no source settles, each with both of its outcomes: what leadbridge does is right under either.

Others are with what they belong to: `journeys_refuse` in the contract suite, `partial_as_200` with HubSpot's account,
`journeys_readable` and `journey_email_activity` with Mailchimp's batches, `unknown_field_fails_all` with Salesforce's
writing, `person_merge_names_contact` with person accounts.
"""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from werkzeug.serving import make_server

from connectors.base import Change, Consent, Outcome
from connectors.grants import SIGNING, MemoryGrants
from connectors.mailchimp.connector import Mailchimp
from leadbridge import clock
from leadbridge.errors import RetryLater
from leadbridge.sandbox.server import Sandbox
from leadbridge.testing import Skipping
from leadbridge.types import RecordRef, Value
from tests.helpers import rooms

either = pytest.mark.parametrize("outcome", [True, False])
WHO = "dana@acme.example"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield rooms.unlimited(sandbox)


@either
def test_hubspot_an_equal_write_moves_the_date_of_change_or_does_not(sandbox: Sandbox, outcome: bool) -> None:
    """Moved, the contact comes again with the next pull, and still nothing is to be written."""
    sandbox.hubspot.settings.equal_write_bumps = outcome
    ref = RecordRef("hubspot", "contact", sandbox.hubspot.add_contact({"email": WHO}))
    room = rooms.hubspot(rooms.configuration(sandbox.url))
    room.create(room.specs())
    wanted: dict[str, Value] = {"score": 72, "grade": "B"}
    progress = list(room.pull_leads(None))[-1].progress
    for _ in range(2):
        assert room.write([Change(ref, room.changes(wanted, {}))])[ref].outcome is Outcome.WRITTEN
    for lead in [lead for page in room.pull_leads(progress) for lead in page.rows]:
        assert room.changes(wanted, lead.written) == {}
    assert room.changes(wanted, room.read_leads([ref]).found[0].written) == {}


@either
def test_hubspot_an_event_at_the_end_of_a_window_belongs_to_it_or_does_not(sandbox: Sandbox, outcome: bool) -> None:
    sandbox.hubspot.settings.window_ends = outcome
    noon = datetime(2026, 11, 24, 12, tzinfo=UTC)
    sandbox.world.clock.set(noon)
    one = sandbox.hubspot.add_contact({"email": WHO})
    days = [noon - timedelta(days=n, milliseconds=step) for n in range(11, 70) for step in (-1, 0, 1)]
    busy = [noon - timedelta(days=10) + timedelta(minutes=n) for n in range(100)]  # so that shares meet at days
    for instant in (*days, *busy):
        sandbox.hubspot.add_event(one, "e_visited_page", instant, {})
        sandbox.hubspot.add_email_event("CLICK", WHO, instant, url="https://acme.example")
    clock.set_source(sandbox.world.clock.now)
    try:
        room = rooms.hubspot(rooms.configuration(sandbox.url, hubspot={"history": "70d"}))
        for stream in ("events", "email_events"):
            rows = [row for page in room.pull_activities(stream, None) for row in page.rows]
            assert {row.at for row in rows} == {*days, *busy}, stream
    finally:
        clock.set_source(None)


@either
def test_mailchimp_a_report_since_a_time_names_those_who_did_nothing_or_does_not(
    sandbox: Sandbox, outcome: bool
) -> None:
    sandbox.mailchimp.settings.since_keeps_idle = outcome
    now = datetime.now(UTC)
    for name in ("dana", "idle"):
        sandbox.mailchimp.add_member(f"{name}@acme.example", "subscribed")
    sent = sandbox.mailchimp.add_campaign("News", now - timedelta(days=3))
    for name in ("dana", "idle"):
        sandbox.mailchimp.add_campaign_activity(sent, f"{name}@acme.example", "sent", now - timedelta(days=3))
    room = rooms.mailchimp(rooms.configuration(sandbox.url))
    progress = list(room.pull_activities("campaigns", None))[-1].progress
    sandbox.mailchimp.add_campaign_activity(sent, WHO, "open", now - timedelta(minutes=5))
    pages = list(room.pull_activities("campaigns", progress))
    assert [one.subject for page in pages for one in page.rows] == [f"email:{WHO}"]
    assert sum(sum(page.skipped.values()) for page in pages) == 0


@either
def test_mailchimp_tells_what_a_contact_did_newest_first_or_not(sandbox: Sandbox, outcome: bool) -> None:
    sandbox.mailchimp.settings.feed_newest_first = outcome
    sandbox.mailchimp.add_member(WHO, "subscribed")
    now = datetime.now(UTC).replace(microsecond=0)
    sent = sandbox.mailchimp.add_campaign("News", now - timedelta(days=20))
    for n in range(1200):  # more than a page gives
        sandbox.mailchimp.add_campaign_activity(sent, WHO, "open", now - timedelta(days=15, minutes=n))
    sandbox.mailchimp.add_campaign_activity(sent, WHO, "open", now - timedelta(days=1))
    room = rooms.mailchimp(rooms.configuration(sandbox.url))
    rows = [row for page in room.read_activities([WHO], now - timedelta(days=3), None) for row in page.rows]
    assert [row.at for row in rows] == [now - timedelta(days=1)]


@either
def test_mailchimp_signs_a_new_webhook_or_does_not(sandbox: Sandbox, outcome: bool) -> None:
    """Unsigned, the secret part of the path is what proves a delivery, and nothing is kept to check against."""

    def answers(_: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return [b""]

    sandbox.mailchimp.settings.sign_webhooks = outcome
    server = make_server("127.0.0.1", 0, answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        kept, door = MemoryGrants(), f"http://127.0.0.1:{server.server_port}"
        config = rooms.configuration(sandbox.url, mailchimp={"webhook_secret": "x" * 32}, public_url=door)
        assert config.connections.mailchimp is not None
        room = Mailchimp(config.connections.mailchimp, config, pace=Skipping().pace(), grants=kept)
        room.create(room.specs())
        assert room.missing(room.specs()) == []
        assert (SIGNING in kept.secrets) is outcome
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@either
def test_mailchimp_tags_set_in_other_ways_start_journeys_or_do_not(sandbox: Sandbox, outcome: bool) -> None:
    """Whoever is added to the audience is in no journey by that: only an enrolment starts one, and once."""
    sandbox.mailchimp.settings.other_tag_paths_start_journeys = outcome
    sandbox.mailchimp.add_journey(11, "guides", tag="Leadbridge guides")
    room = rooms.mailchimp(rooms.configuration(sandbox.url))
    room.create(room.specs())
    room.add_member(WHO, {"LBSCORE": "5"}, Consent("form", datetime.now(UTC), "I agree"))
    effects = [effect.kind for call in sandbox.world.journal for effect in call.effects]
    assert "journey_entered" not in effects
    room.enrol("guides", WHO)
    effects = [effect.kind for call in sandbox.world.journal for effect in call.effects]
    assert effects.count("journey_entered") == 1


@either
def test_salesforce_tells_the_calls_of_each_app_too_or_does_not(sandbox: Sandbox, outcome: bool) -> None:
    """What counts is the org's whole figure, wherever it stands in the header."""
    org = sandbox.salesforce
    org.settings.per_app_usage = outcome
    for kind in ("Lead", "Contact"):
        org.grant_field(kind, "HasOptedOutOfEmail")
    one = RecordRef("salesforce", "Lead", org.add("Lead", {"LastName": "Lee", "Company": "Acme"}))
    room = rooms.salesforce(rooms.configuration(sandbox.url))
    room.read_leads([one])  # what there is to read is known now
    org.settings.other_usage = 85_000
    room.read_leads([one])  # this answer tells
    with pytest.raises(RetryLater, match="no room in the budget of reads"):
        [room.read_leads([one]) for _ in range(2)]


@either
def test_hubspot_tells_that_a_place_in_its_journal_is_gone_or_does_not(sandbox: Sandbox, outcome: bool) -> None:
    """Within three days nothing is missed: it goes on from the earliest file, whatever is answered."""
    hubspot = sandbox.hubspot
    hubspot.settings.journal_expired_status = 404 if outcome else 0
    app = {"journal_client_id": "sandbox-hubspot-client", "journal_client_secret": "sandbox-hubspot-secret"}
    room = rooms.hubspot(rooms.configuration(sandbox.url, hubspot=app))
    room.create(room.specs())
    contact = hubspot.add_contact({"email": WHO})
    hubspot.archive_contact(contact)
    place = {"offset": "of a file that is gone", "at": (datetime.now(UTC) - timedelta(days=2)).isoformat()}
    heard = list(room.pull_told(place))
    assert [one.missed for one in heard] == [""] * len(heard)
    assert sum(events for one in heard for _, events in one.deliveries) == 1

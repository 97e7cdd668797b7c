"""Engagement by one batch, mail of journeys included, and the feed of a contact where journeys stay hidden."""

import io
import json
import tarfile
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.base import Page, Progress
from connectors.mailchimp import batches
from connectors.mailchimp.connector import Mailchimp
from leadbridge import clock
from leadbridge.errors import NeedsOperator, Unknown
from leadbridge.sandbox.server import Sandbox
from leadbridge.sandbox.world import Fault
from leadbridge.types import Activity, ActivityKind
from tests.helpers import rooms

MANY = 12  # campaigns: more than are asked one by one


def room(sandbox: Sandbox, **connection: Any) -> Mailchimp:
    return rooms.mailchimp(rooms.configuration(sandbox.url, mailchimp=connection))


def now() -> datetime:
    return datetime.now(UTC)


def campaigns(sandbox: Sandbox, count: int = MANY, people: int = 3) -> list[str]:
    found = []
    for n in range(people):
        sandbox.mailchimp.add_member(f"m{n}@acme.example", "subscribed")
    for n in range(count):
        sent = now() - timedelta(days=20, hours=-n)
        found.append(sandbox.mailchimp.add_campaign(f"News {n}", sent))
        for who in range(people):
            sandbox.mailchimp.add_campaign_activity(found[-1], f"m{who}@acme.example", "open", sent)
    return found


def operations(sandbox: Sandbox) -> list[str]:
    return [call.operation for call in sandbox.world.journal]


def keys(pages: Iterable[Page[Activity]]) -> list[str]:
    return [row.source_id for page in pages for row in page.rows]


def test_many_campaigns_are_read_by_one_batch_whatever_their_number(sandbox: Sandbox) -> None:
    campaigns(sandbox)
    pages = list(room(sandbox).pull_activities("campaigns", None))
    assert len(set(keys(pages))) == MANY * 3
    made = operations(sandbox)
    assert made.count("batches.create") == 1
    assert made.count("batches.results") == 1
    assert not [one for one in made if one.startswith("reports")]
    assert len(made) < MANY


def test_the_next_batch_asks_for_what_is_new_only(sandbox: Sandbox) -> None:
    first, *_ = campaigns(sandbox)
    one = room(sandbox)
    progress = list(one.pull_activities("campaigns", None))[-1].progress
    sandbox.mailchimp.add_campaign_activity(first, "m0@acme.example", "click", now(), "https://acme.example/late")
    pages = list(one.pull_activities("campaigns", progress))
    assert [row.kind for page in pages for row in page.rows] == [ActivityKind.EMAIL_CLICKED]


def test_a_batch_killed_after_any_page_misses_nothing(sandbox: Sandbox) -> None:
    campaigns(sandbox)
    whole = set(keys(room(sandbox).pull_activities("campaigns", None)))
    found: set[str] = set()
    progress: Progress | None = None
    for _ in range(3):  # killed after the batch was sent, and after the first file of its results, again and again
        pages = iter(room(sandbox).pull_activities("campaigns", progress))
        page = next(pages)
        found |= set(keys([page]))
        progress = page.progress
    for page in room(sandbox).pull_activities("campaigns", progress):
        found |= set(keys([page]))
    assert found == whole
    assert operations(sandbox).count("batches.create") == 2  # one each: what was sent is not sent again


def test_a_batch_that_is_not_finished_is_left_to_the_next_pull(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaigns(sandbox)
    monkeypatch.setattr(batches, "WAITS", ())
    one = room(sandbox)
    (sent,) = one.pull_activities("campaigns", None)
    assert "batch" in sent.progress
    assert list(one.pull_activities("campaigns", sent.progress)) == []
    monkeypatch.undo()
    assert len(set(keys(one.pull_activities("campaigns", sent.progress)))) == MANY * 3


def test_a_batch_mailchimp_lost_is_begun_anew(sandbox: Sandbox) -> None:
    campaigns(sandbox)
    one = room(sandbox)
    sent = next(iter(one.pull_activities("campaigns", None)))
    sandbox.mailchimp.core.state.batches.clear()
    (page,) = one.pull_activities("campaigns", sent.progress)
    assert page.skipped == {"batch that Mailchimp lost": 1}
    assert len(set(keys(one.pull_activities("campaigns", page.progress)))) == MANY * 3


def test_what_fails_inside_a_finished_batch_is_asked_for_again(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finished is not success: each operation has a status of its own."""
    known = campaigns(sandbox)
    read = batches._result

    def failing(raw: Any) -> Any:
        return read(raw | {"status_code": 500, "response": "{}"}) if raw["operation_id"] == known[3] else read(raw)

    one = room(sandbox)
    monkeypatch.setattr(batches, "_result", failing)
    pages = list(one.pull_activities("campaigns", None))
    assert sum(page.skipped.get("report that failed", 0) for page in pages) == 1
    assert f"campaign:{known[3]}" not in pages[-1].progress
    monkeypatch.undo()
    again = keys(one.pull_activities("campaigns", pages[-1].progress))
    assert {key.partition(":")[0] for key in again} == {known[3]}


def test_results_are_fetched_without_our_key_and_only_from_allowed_hosts(sandbox: Sandbox) -> None:
    """The sandbox refuses a download that carries an Authorization header, as the storage service does."""
    one = room(sandbox)
    for url in (
        "https://evil.example/x.tar.gz",
        "http://storage.googleapis.com/x.tar.gz",
        "https://storage.googleapis.com.evil.example/x",
        "https://amazonaws.com.evil.example/x",
        "https://storage.googleapis.com:8443/x",
        "https://user@storage.googleapis.com/x",
    ):
        with pytest.raises(NeedsOperator, match="archive_hosts"):
            one._api.download("batches.results", url, io.BytesIO())
    assert operations(sandbox) == []


@pytest.mark.parametrize("spoilt", ["no archive", "no json", "no list", "cut"])
def test_an_archive_that_cannot_be_read_is_a_fault_and_no_result(sandbox: Sandbox, spoilt: str) -> None:
    def archive(content: bytes) -> bytes:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            entry = tarfile.TarInfo("./a.json")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        return packed.getvalue()

    told = {
        "no archive": b"<Error/>",
        "no json": archive(b"{"),
        "no list": archive(json.dumps({"a": 1}).encode()),
        "cut": archive(b"[]" * 5000)[:-30],
    }[spoilt]
    one = batches.Batches(room(sandbox)._api)
    one._api.download = lambda _operation, _url, into: into.write(told)  # type: ignore[method-assign, assignment]
    with pytest.raises(Unknown, match="archive"):
        list(one.results(batches.Batch(id="b", status="finished", response_body_url="https://x.example/")))


# --- mail of journeys ------------------------------------------------------------------------------------------------


def enrolled(sandbox: Sandbox) -> str:
    """Somebody in a journey who clicked in its mail; the campaign of that mail."""
    sandbox.mailchimp.add_journey(11, "guides", tag="Leadbridge guides")
    sandbox.mailchimp.add_member("dana@acme.example", "subscribed")
    room(sandbox).enrol("guides", "dana@acme.example")
    campaign = sandbox.mailchimp.core.state.journeys[11].campaign_id
    sandbox.mailchimp.add_campaign_activity(campaign, "dana@acme.example", "click", now(), "https://acme.example/g")
    return campaign


@pytest.mark.parametrize("others", [0, MANY])  # one by one, and by batch
def test_mail_of_journeys_is_followed_where_the_account_tells_of_it(sandbox: Sandbox, others: int) -> None:
    sandbox.mailchimp.settings.journeys_readable = True
    enrolled(sandbox)
    campaigns(sandbox, others)
    one = room(sandbox)
    (click,) = [
        row
        for page in one.pull_activities("campaigns", None)
        for row in page.rows
        if row.kind is ActivityKind.EMAIL_CLICKED
    ]
    assert click.attributes["journey"] == "guides"
    assert list(one.read_activities(["dana@acme.example"], now() - timedelta(days=1))) == []  # told already


@pytest.mark.parametrize("hidden", ["journeys", "reports"])
def test_where_journeys_stay_hidden_the_feed_of_each_contact_tells(sandbox: Sandbox, hidden: str) -> None:
    sandbox.mailchimp.settings.journeys_readable = hidden == "reports"
    sandbox.mailchimp.settings.journey_email_activity = False
    enrolled(sandbox)
    one = room(sandbox)
    list(one.pull_activities("campaigns", None))
    pages = list(one.read_activities(["dana@acme.example", "nobody@acme.example"], now() - timedelta(days=1)))
    kinds = sorted(row.kind for page in pages for row in page.rows)
    assert kinds == [ActivityKind.EMAIL_CLICKED]


def many_feeds(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Fifteen contacts of two facts each, but one of three, which is a full page; and somebody who is not there."""
    people = [f"m{n}@acme.example" for n in range(15)]
    first, _ = campaigns(sandbox, 2, len(people))
    monkeypatch.setattr(batches, "WAITS", (0.0,) * 20)
    monkeypatch.setattr("connectors.mailchimp.feeds.FEED_PAGE", 3)  # a page that is full may not be all: they did more
    sandbox.mailchimp.add_campaign_activity(
        first, people[0], "click", now() - timedelta(days=19), "https://acme.example"
    )
    return [*people, "nobody@acme.example"]


@pytest.mark.parametrize("size", [500, 12])
def test_the_feeds_of_many_contacts_come_by_batches(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr("connectors.mailchimp.feeds.MOST", size)
    people, since = many_feeds(sandbox, monkeypatch), now() - timedelta(days=30)
    before = len(sandbox.world.journal)
    pages = list(room(sandbox).read_activities(people, since))
    assert len(set(keys(pages))) == len(keys(pages)) == 31
    assert pages[-1].progress == {}
    assert operations(sandbox)[before:].count("members.activity_feed") == (
        2 if size == 500 else 6
    )  # two of who did most


@pytest.mark.parametrize("size", [500, 12])
def test_a_reading_of_feeds_killed_after_any_page_asks_for_no_batch_twice(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr("connectors.mailchimp.feeds.MOST", size)
    people, since = many_feeds(sandbox, monkeypatch), now() - timedelta(days=30)
    whole = list(room(sandbox).read_activities(people, since))
    for survived in range(1, len(whole)):
        before = len(sandbox.world.journal)
        reading = room(sandbox).read_activities(people, since)
        pages = [next(reading) for _ in range(survived)]
        reading.close()  # type: ignore[attr-defined]
        pages += room(sandbox).read_activities(people, since, pages[-1].progress)
        assert set(keys(pages)) == set(keys(whole))
        assert operations(sandbox)[before:].count("batches.create") == 1


@pytest.mark.parametrize("ends", ["late", "never", "lost"])
def test_a_batch_of_feeds_that_is_late_is_looked_at_again_and_not_asked_for_anew(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    people, since = many_feeds(sandbox, monkeypatch), now() - timedelta(days=30)
    monkeypatch.setattr(batches, "WAITS", ())
    before = len(sandbox.world.journal)
    (begun,) = room(sandbox).read_activities(people, since)
    assert begun.progress
    assert list(room(sandbox).read_activities(people, since, begun.progress)) == []  # a few calls later it still is not
    at = now()
    if ends == "late":
        monkeypatch.setattr(batches, "WAITS", (0.0,) * 20)
    elif ends == "never":
        clock.set_source(lambda: at + timedelta(hours=13))
    else:
        sandbox.mailchimp.core.state.batches.clear()
    try:
        pages = list(room(sandbox).read_activities(people, since, begun.progress))
    finally:
        clock.set_source(None)
    assert len(set(keys(pages))) == 31
    assert pages[-1].progress == {}
    told = operations(sandbox)[before:]
    assert told.count("batches.create") == 1
    assert told.count("members.activity_feed") == (2 if ends == "late" else 17)


def test_the_feed_and_the_report_tell_of_one_thing_once(sandbox: Sandbox) -> None:
    sandbox.mailchimp.add_member("dana@acme.example", "subscribed")
    campaign = sandbox.mailchimp.add_campaign("News", now() - timedelta(days=2))
    for action, url in (("open", None), ("click", "https://acme.example/?a=1&b=2")):
        sandbox.mailchimp.add_campaign_activity(campaign, "dana@acme.example", action, now(), url)
    one = room(sandbox)
    reported = {(row.source, row.source_id) for page in one.pull_activities("campaigns", None) for row in page.rows}
    pages = list(one.read_activities(["dana@acme.example"], now() - timedelta(days=1)))
    fed = {(row.source, row.source_id) for page in pages for row in page.rows}
    assert reported == fed


def test_trouble_with_calls_that_are_not_documented_spoils_nothing(sandbox: Sandbox) -> None:
    sandbox.mailchimp.settings.journeys_readable = True
    campaigns(sandbox, 2)
    sandbox.world.faults.add(Fault("status", operation="journeys.list", status=500, times=100))
    assert len(set(keys(room(sandbox).pull_activities("campaigns", None)))) == 6

"""Invented people: the same seed, the same people; plausible in their numbers; loaded without a trace."""

import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from statistics import mean, median

import pytest

from leadbridge.sandbox.hubspot import HubSpot
from leadbridge.sandbox.mailchimp import Mailchimp
from leadbridge.sandbox.people import FREE_MAIL, Population, invent, load
from leadbridge.sandbox.world import World

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def crowd() -> Population:
    return invent(1500, 7, NOW)


def test_the_same_seed_gives_the_same_people() -> None:
    assert invent(60, 7, NOW) == invent(60, 7, NOW)
    assert invent(60, 7, NOW) != invent(60, 8, NOW)


def test_three_thousand_take_little_time() -> None:
    started = time.process_time()
    invent(3000, 1, NOW)
    assert time.process_time() - started < 3  # under a second when nothing else runs


def test_nobody_can_be_reached(crowd: Population) -> None:
    addresses = [person.email for person in crowd.contacts]
    assert len(set(addresses)) == len(addresses)
    assert all(address.endswith(".example") and address.isascii() for address in addresses)
    assert 0.02 < mean(address.endswith(f"@{FREE_MAIL}") for address in addresses) < 0.12
    domains = [company.properties["domain"] for company in crowd.companies]
    assert len(set(domains)) == len(domains)


def test_activity_lies_in_the_past_half_year_and_after_creation(crowd: Population) -> None:
    for person in crowd.contacts:
        times = [touch.at for touch in person.touches]
        assert times == sorted(times)
        assert all(NOW - timedelta(days=184) <= at <= NOW for at in times)
        assert all(at >= person.created for at in times)
        assert person.modified == max([person.created, *times])


def test_most_are_quiet_and_a_few_are_hot(crowd: Population) -> None:
    counts = sorted(len(person.touches) for person in crowd.contacts)
    assert 7.5 < mean(counts) < 12.5
    assert median(counts) < 0.6 * mean(counts)
    assert counts[len(counts) // 10] <= 1
    assert counts[-1] > 8 * mean(counts)
    assert 3 < mean(len(person.touches) for person in invent(1500, 7, NOW, activities_per_person=5).contacts) < 7


def test_the_busy_look_at_prices_more_than_the_quiet(crowd: Population) -> None:
    def share(low: int, high: int) -> float:
        pages = [
            touch.detail["url"]
            for person in crowd.contacts
            for touch in person.touches
            if touch.kind == "page_view" and low <= len(person.touches) < high
        ]
        return mean("/pricing" in page for page in pages)

    assert share(25, 1000) > 2 * share(1, 6)


def test_every_kind_of_person_is_there(crowd: Population) -> None:
    statuses = Counter(person.subscription.status if person.subscription else "" for person in crowd.contacts)
    assert set(statuses) == {"subscribed", "unsubscribed", "cleaned", "pending", "transactional", "archived", ""}
    assert 0.7 < statuses["subscribed"] / len(crowd.contacts) < 0.82
    left = [person.subscription for person in crowd.contacts if person.subscription]
    assert {held.by_person for held in left if held.status == "unsubscribed"} == {True, False}
    assert {person.properties["lifecyclestage"] for person in crowd.contacts} == {
        "subscriber", "lead", "marketingqualifiedlead", "opportunity", "customer",
    }  # fmt: skip
    out = [person for person in crowd.contacts if person.properties.get("hs_email_optout") == "true"]
    assert 0 < len(out) / len(crowd.contacts) < 0.05
    # Mailchimp does not always know: the stricter word must win
    assert any(person.subscription and person.subscription.status == "subscribed" for person in out)
    kinds = Counter(touch.kind for person in crowd.contacts for touch in person.touches)
    assert set(kinds) == {"page_view", "form", "email", "engagement"}


def test_loading_fills_both_stand_ins_without_a_trace() -> None:
    world = World(NOW)
    hubspot, mailchimp = HubSpot(world), Mailchimp(world)
    population = invent(80, 7, NOW)
    ids = load(population, hubspot, mailchimp)
    assert len(world.journal) == 0
    assert list(ids) == [person.email for person in population.contacts]
    crm = hubspot.dump()
    assert len(crm["objects"]["contacts"]) == 80
    assert crm["objects"]["contacts"][ids[population.contacts[0].email]]["properties"]["firstname"]
    touches = Counter(touch.kind for person in population.contacts for touch in person.touches)
    assert len(crm["events"]) == touches["page_view"]
    assert len(crm["email_events"]) == touches["email"]
    assert sum(map(len, crm["submissions"].values())) == touches["form"]
    audience = mailchimp.dump()["audiences"][mailchimp.audience]["members"]
    assert len(audience) == sum(person.subscription is not None for person in population.contacts)
    assert set(mailchimp.dump()["journeys"]) == {"101", "102", "103", "104"}
    assert len(mailchimp.dump()["mail"]) == 7

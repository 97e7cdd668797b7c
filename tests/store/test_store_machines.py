"""What machines did is kept under its own kind, whenever the rest that shows it comes in."""

import itertools
from datetime import timedelta
from typing import Any

import pytest

from leadbridge import machines
from leadbridge.machines import EVIDENCE
from leadbridge.store import Store, activities, leads, machine_events, open_store
from leadbridge.types import Activity, email_key
from leadbridge.types import ActivityKind as K
from tests.helpers.databases import KEY
from tests.helpers.store_people import NOW, person

ADA = email_key("ada@acme.example")


def did(kind: K, seconds: float, subject: str = ADA, **attributes: str) -> Activity:
    told = {"campaign": "c1", **attributes} if kind is not K.PAGE_VIEW else attributes
    at = NOW + timedelta(seconds=seconds)
    return Activity(subject, kind, at, "t", f"{subject}:{kind}:{seconds}:{attributes.get('url')}", told)


def clicks(subject: str = ADA, links: str = "abc") -> list[Activity]:
    return [did(K.EMAIL_CLICKED, n, subject, url=url) for n, url in enumerate(links)]


def kinds(store: Store, who: int) -> list[str]:
    with store.reading() as tx:
        return activities.activities_of(tx, [who]).kind


@pytest.fixture
def ada(store: Store) -> int:
    with store.writing() as tx:
        found = person(tx, "1")
        leads.link_keys(tx, {ADA: found})
    return found


def test_a_late_click_makes_earlier_ones_a_machines_in_whatever_order_they_come(store: Store, ada: int) -> None:
    for round_, order in enumerate(itertools.permutations(range(3))):
        subject = email_key(f"p{round_}@acme.example")
        with store.writing() as tx:
            who = person(tx, f"7{round_}")
            leads.link_keys(tx, {subject: who})
        rows = clicks(subject)
        for n, place in enumerate(order):
            with store.writing() as tx:
                assert activities.add_activities(tx, [rows[place]], NOW).people == {who}
            assert kinds(store, who) == ["machine_clicked" if n == 2 else "email_clicked"] * (n + 1)
        with store.reading() as tx:
            told = activities.activities_of(tx, [who]).attributes
        assert {row[EVIDENCE] for row in told} == {"many links: 3 links within 2 s"}
        assert [row["url"] for row in told] == ["a", "b", "c"]


def test_the_verdict_does_not_depend_on_how_events_are_cut_and_repeats_change_nothing(store: Store, ada: int) -> None:
    rows = [*clicks(), did(K.EMAIL_OPENED, 0), did(K.EMAIL_CLICKED, 3600, url="a"), did(K.EMAIL_OPENED, 3590)]
    want = ["machine_clicked", "machine_opened", "machine_clicked", "machine_clicked", "email_opened", "email_clicked"]
    with store.writing() as tx:
        activities.add_activities(tx, rows, NOW)
    assert sorted(kinds(store, ada)) == sorted(want)
    for row in rows:
        with store.writing() as tx:
            assert activities.add_activities(tx, [row], NOW).new == 0
    assert sorted(kinds(store, ada)) == sorted(want)


def test_what_comes_together_from_far_apart_is_judged_by_what_is_near_each_and_nothing_else_is_read(
    store: Store, ada: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ago = -86400.0 * 100
    with store.writing() as tx:
        activities.add_activities(tx, [did(K.EMAIL_OPENED, 3600.0 * n * -4) for n in range(1, 590)], NOW)
        early = [did(K.EMAIL_CLICKED, ago + n, url=url) for n, url in enumerate("ab")]
        activities.add_activities(tx, [*early, *clicks(links="ab")], NOW)
    read: list[K] = []

    def seen(kind: K, *told: Any) -> machines.MailEvent:
        read.append(kind)
        return machines.event(kind, *told)

    monkeypatch.setattr(machine_events, "event", seen)
    with store.writing() as tx:
        late = [did(K.EMAIL_CLICKED, seconds, url="c") for seconds in (ago + 2, 2.0)]
        activities.add_activities(tx, late, NOW)
    assert sorted(set(kinds(store, ada))) == ["email_opened", "machine_clicked"]
    assert len(read) < 20


def test_a_page_view_that_comes_late_gives_a_click_back_to_the_person(store: Store, ada: int) -> None:
    cookie = "hubspot:contact:1"
    with store.writing() as tx:
        activities.add_activities(tx, [did(K.PAGE_VIEW, -3600, cookie)], NOW)
        activities.add_activities(tx, clicks(links="ab"), NOW)
    assert kinds(store, ada) == ["page_view", "machine_clicked", "machine_clicked"]
    with store.writing() as tx:
        activities.add_activities(tx, [did(K.PAGE_VIEW, 30, cookie)], NOW)
        told = activities.activities_of(tx, [ada])
    assert told.kind == ["page_view", "email_clicked", "email_clicked", "page_view"]
    assert not any(EVIDENCE in row for row in told.attributes)


def test_clicks_of_nobody_yet_are_judged_too_and_counted_by_reason(store: Store, ada: int) -> None:
    stranger = email_key("new@acme.example")
    with store.writing() as tx:
        for row in clicks(stranger):
            activities.add_activities(tx, [row], NOW)
        activities.add_activities(tx, [did(K.EMAIL_OPENED, 9, ip="17.1.2.3")], NOW)
        told = machine_events.told(tx)
        assert told.events == {(K.MACHINE_CLICKED, "many links"): 3, (K.MACHINE_OPENED, "privacy proxy"): 1}
        assert told.people == {ada}
        assert activities.only_of(tx, [ada], [K.EMAIL_OPENED]) == set()  # nobody opened anything


def test_a_source_that_says_so_itself_is_believed(store: Store, ada: int) -> None:
    with store.writing() as tx:
        activities.add_activities(tx, [did(K.MACHINE_OPENED, 0)], NOW)
        activities.add_activities(tx, [did(K.EMAIL_OPENED, 1)], NOW)
        assert activities.activities_of(tx, [ada]).kind == ["machine_opened", "email_opened"]
        assert machine_events.told(tx).events == {(K.MACHINE_OPENED, "its source says so"): 1}


def test_what_comes_from_a_network_the_store_was_told_of_is_a_machines_on_both_databases(store_url: str) -> None:
    store = open_store(store_url, key=KEY, machine_networks=["203.0.113.0/24"])
    with store.writing() as tx:
        ada = person(tx, "1")
        leads.link_keys(tx, {ADA: ada})
        activities.add_activities(tx, [did(K.EMAIL_CLICKED, 0, url="a", ip="203.0.113.7")], NOW)
    with store.writing() as tx:  # judged again beside something new, it stays what it is
        activities.add_activities(tx, [did(K.EMAIL_CLICKED, 60, url="b", ip="198.51.100.7")], NOW)
    assert kinds(store, ada) == ["machine_clicked", "email_clicked"]
    store.close()

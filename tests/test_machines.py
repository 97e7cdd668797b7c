"""Opens and clicks of machines are told from those of people, and what a person could have done stays theirs."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadbridge.machines import BURST, MailEvent, evidence
from leadbridge.types import ActivityKind as K

T = datetime(2026, 11, 2, 9, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T + timedelta(seconds=seconds)


def click(seconds: float, url: str = "a", mail: str = "m", **more: str) -> MailEvent:
    return MailEvent(K.EMAIL_CLICKED, at(seconds), mail, url, **more)


def opened(seconds: float, mail: str = "m", **more: str) -> MailEvent:
    return MailEvent(K.EMAIL_OPENED, at(seconds), mail, **more)


def sent(seconds: float, mail: str = "m") -> MailEvent:
    return MailEvent(K.EMAIL_SENT, at(seconds), mail)


def reasons(*events: MailEvent, pages: tuple[float, ...] = ()) -> list[str]:
    found = evidence(events, [at(seconds) for seconds in pages])
    return [found.get(place, "").partition(":")[0] for place in range(len(events))]


SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15"


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (opened(0, agent="Mozilla/5.0"), "privacy proxy"),
        (opened(0, ip="17.58.63.20"), "privacy proxy"),
        (click(0, ip="17.58.63.20"), ""),  # proxies fetch images, they follow no links
        (opened(0, agent=SAFARI, ip="203.0.113.9"), ""),
        (
            opened(
                0, agent="Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
            ),
            "",
        ),
        (click(0, agent="python-requests/2.31"), "program"),
        (click(0, agent="Mozilla/5.0 (compatible; examplebot/2.1)"), "program"),
        (click(0, agent="Mozilla/5.0 (Linux; Android 9; CUBOT X19)"), ""),  # a telephone
        (opened(0, ip="not an address"), ""),
    ],
)
def test_what_tells_by_itself(event: MailEvent, reason: str) -> None:
    assert reasons(event) == [reason]


def test_what_comes_from_a_network_the_configuration_names_is_a_machines_and_from_beside_it_not() -> None:
    networks = ("203.0.113.0/24", "2001:db8::/32")
    events = [
        opened(0, ip="203.0.113.255"), click(60, ip="2001:db8:1::7"), click(120, ip="203.0.114.0"), click(180, ip="?"),
        sent(240),
    ]  # fmt: skip
    assert evidence(events, (), networks) == {
        0: "network: from 203.0.113.0/24, as the configuration says",
        1: "network: from 2001:db8::/32, as the configuration says",
    }


def test_three_links_within_five_seconds_are_nobodys_reading_nor_is_the_open_with_them() -> None:
    events = (opened(0), click(1, "a"), click(3, "b"), click(6, "c"), click(40, "a"), opened(39), opened(-60))
    assert reasons(*events) == ["many links"] * 4 + ["", "", ""]


def test_the_same_link_twice_or_links_of_two_mails_are_a_persons() -> None:
    assert not any(reasons(*(click(n, "a") for n in range(5))))
    assert not any(reasons(click(0, "a"), click(1, "b", mail="other"), click(2, "c", mail="third")))
    assert not any(reasons(click(0, "a", mail=""), click(1, "b", mail=""), click(2, "c", mail="")))


def test_what_happens_as_the_mail_arrives_is_a_machines() -> None:
    assert reasons(sent(0), opened(1), click(2), click(3)) == ["", "at once", "at once", ""]
    assert reasons(sent(0), opened(1, mail="other")) == ["", ""]


def test_two_links_at_once_are_a_machines_only_when_pages_are_tracked_and_none_was_seen() -> None:
    two = (click(0, "a"), click(1, "b"))
    assert reasons(*two) == ["", ""]  # nobody tracks this person's pages
    assert reasons(*two, pages=(-3600.0,)) == ["no page view", "no page view"]
    assert reasons(*two, pages=(-3600.0, 30.0)) == ["", ""]  # they arrived
    assert reasons(*two, pages=(-100 * 86400.0,)) == ["", ""]  # the cookie may be gone


@given(st.lists(st.tuples(st.integers(0, 60), st.sampled_from("abcd"), st.sampled_from("mn")), max_size=25))
def test_clicks_are_many_links_exactly_when_some_five_seconds_around_them_hold_three(
    drawn: list[tuple[int, str, str]],
) -> None:
    events = [click(*one) for one in drawn]

    def crowded(one: MailEvent) -> bool:
        starts = [other.at for other in events if one.at - BURST <= other.at <= one.at]
        return any(
            len({e.url for e in events if e.mail == one.mail and start <= e.at <= start + BURST}) >= 3
            for start in starts
        )

    assert [reason == "many links" for reason in reasons(*events)] == [crowded(one) for one in events]

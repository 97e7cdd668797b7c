"""Which opens and clicks of mail were made by machines: privacy proxies and security scanners, not by people. Pure.

No vendor flags single events (Mailchimp gives an address of the network, HubSpot a user agent), so each verdict rests
on evidence that is kept with the event. The rules are chosen to spare people: what a person could have done in the time
stays theirs. A verdict may change when more of the same mail, or a page view, becomes known.
"""

import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from leadbridge.types import ActivityKind, Value

MADE_BY_MACHINE: Mapping[ActivityKind, ActivityKind] = {
    ActivityKind.EMAIL_OPENED: ActivityKind.MACHINE_OPENED,
    ActivityKind.EMAIL_CLICKED: ActivityKind.MACHINE_CLICKED,
}
"""What an open or a click is called when a machine made it."""

BY_PERSON: Mapping[ActivityKind, ActivityKind] = {machine: human for human, machine in MADE_BY_MACHINE.items()}

OF_MAIL = frozenset({*MADE_BY_MACHINE, *BY_PERSON, ActivityKind.EMAIL_SENT})
"""What has to be looked at together."""

EVIDENCE = "machine"
"""Attribute of an activity made by a machine: the evidence, in words, which begin with one of the reasons below."""

PROXY = "privacy proxy"
NETWORK = "network"
AGENT = "program"
AT_ONCE = "at once"
MANY_LINKS = "many links"
NO_PAGE = "no page view"

LINKS = 3
"""Different links of one mail followed within `BURST`: two are a slip of the mouse, three are nobody's reading."""

BURST = timedelta(seconds=5)
"""Long enough for a scanner that follows links one by one; too short to open three pages and look at each."""

SOON = timedelta(seconds=2)
"""After its delivery nobody has noticed a mail, opened it and followed a link; scanners have."""

ARRIVES = timedelta(minutes=10)
"""Within this time a person's click shows as a view of a page, be the page and the clocks ever so slow."""

TRACKED = timedelta(days=90)
"""Whose pages were seen this long before a click, theirs would have been seen after it too; cookies last longer."""

_PROXY_AGENT = "Mozilla/5.0"
"""All that Apple's Mail Privacy Protection says of itself; every browser says more."""

_PROXIES = ("17.0.0.0/8",)
"""Apple's own network, from which its privacy proxies fetch; its staff open mail there too, and do not matter. More
networks are for the configuration to name."""

_PROGRAM = re.compile(
    r"bot/|spider|crawler|headlesschrome|phantomjs|python-requests|python-urllib|curl/|wget/|go-http-client|"
    r"barracuda|mimecast|proofpoint|safelinks",
    re.IGNORECASE,
)
"""Programs that say what they are. Not "bot" alone: there are telephones named so. Not Gmail's image proxy: it fetches
when a person opens the mail."""


@dataclass(frozen=True, slots=True)
class MailEvent:
    """A mail sent to one person, opened by them or clicked in, whoever did it."""

    kind: ActivityKind  # as a person would have done it, or EMAIL_SENT
    at: datetime
    mail: str  # one mailing or step of a journey; "" when the vendor does not tell
    url: str = ""
    agent: str = ""
    ip: str = ""


def event(kind: ActivityKind, at: datetime, source: str, attributes: Mapping[str, Value]) -> MailEvent:
    """An activity of OF_MAIL as the rules look at it."""

    def text(name: str) -> str:
        return str(attributes.get(name) or "")

    campaign = text("campaign")
    mail = f"{source}:{campaign}" if campaign else ""
    return MailEvent(BY_PERSON.get(kind, kind), at, mail, text("url"), text("user_agent"), text("ip"))


def evidence(
    events: Sequence[MailEvent], pages: Sequence[datetime] = (), networks: tuple[str, ...] = ()
) -> dict[int, str]:
    """What shows that a machine did it, by the place of the event; nothing for what a person did.

    `events` are one person's, `pages` the instants of pages they viewed, rising; both in any extent, and more of them
    makes the verdicts better. `networks`: whose every open and click is a machine's.
    """
    found: dict[int, str] = {}
    mails: dict[str, list[int]] = defaultdict(list)
    for place in sorted(range(len(events)), key=lambda place: events[place].at):
        one = events[place]
        if one.kind in MADE_BY_MACHINE and (told := _by_itself(one, networks)):
            found[place] = told
        if one.mail:
            mails[one.mail].append(place)
    for places in mails.values():
        for place, told in (*_at_once(events, places), *_bursts(events, places, pages)):
            found.setdefault(place, told)
    return found


def pairs(events: Sequence[MailEvent]) -> bool:
    """Is there anything that page views may decide?"""
    clicks = [one for one in events if one.kind is ActivityKind.EMAIL_CLICKED and one.mail and one.url]
    links = {(one.mail, one.url) for one in clicks}
    return len(links) > len({one.mail for one in clicks})


def _by_itself(one: MailEvent, networks: tuple[str, ...]) -> str:
    if networks and (network := _network_of(one.ip, networks)):
        return f"{NETWORK}: from {network}, as the configuration says"
    if one.kind is ActivityKind.EMAIL_OPENED:
        if one.agent == _PROXY_AGENT:
            return f"{PROXY}: it calls itself {_PROXY_AGENT} and nothing more"
        if network := _network_of(one.ip, _PROXIES):
            return f"{PROXY}: fetched from {network}"
    said = _program(one.agent)
    return f"{AGENT}: it calls itself {said}" if said else ""


@lru_cache(maxsize=4096)  # a few browsers make most of the events
def _program(agent: str) -> str:
    said = _PROGRAM.search(agent)
    return said[0].rstrip("/") if said else ""


def _network_of(ip: str, networks: tuple[str, ...]) -> str:
    """The first of these networks that the address is in; empty when it is in none, or no address."""
    if not ip:
        return ""
    try:
        address = ip_address(ip)
    except ValueError:
        return ""
    return next((str(network) for network in _read(networks) if address in network), "")


@lru_cache(maxsize=8)
def _read(networks: tuple[str, ...]) -> Sequence[IPv4Network | IPv6Network]:
    return [ip_network(network) for network in networks]


def _at_once(events: Sequence[MailEvent], places: Sequence[int]) -> Iterator[tuple[int, str]]:
    """What was done to one mail right after it was sent."""
    sent: datetime | None = None
    for place in places:
        one = events[place]
        if one.kind is ActivityKind.EMAIL_SENT:
            sent = one.at
        elif sent is not None and one.at - sent <= SOON:
            yield place, f"{AT_ONCE}: {(one.at - sent).total_seconds():g} s after it was sent"


def _bursts(events: Sequence[MailEvent], places: Sequence[int], pages: Sequence[datetime]) -> Iterator[tuple[int, str]]:
    """Clicks on several links of one mail within seconds, and the opens that go with them."""
    clicks = [place for place in places if events[place].kind is ActivityKind.EMAIL_CLICKED and events[place].url]
    opens = [place for place in places if events[place].kind is ActivityKind.EMAIL_OPENED]
    when = [events[place].at for place in opens]
    mine = [events[place] for place in clicks]
    for least in (LINKS, 2):
        for begin, end in _together(mine, least):
            first, last = mine[begin].at, mine[end - 1].at
            if least < LINKS and not _unseen(pages, first, last):
                continue
            told = f"{len({click.url for click in mine[begin:end]})} links within {(last - first).total_seconds():g} s"
            told = f"{MANY_LINKS}: {told}" if least == LINKS else f"{NO_PAGE}: {told}, and no page seen after"
            for place in clicks[begin:end]:
                yield place, told
            for place in opens[bisect_left(when, first - BURST) : bisect_right(when, last)]:
                yield place, told


def _together(clicks: Sequence[MailEvent], least: int) -> Iterator[tuple[int, int]]:
    """(begin, end) of clicks, in time order, of which every `BURST` around some holds so many links at least."""
    links: Counter[str] = Counter()
    begin, span = 0, (0, 0)
    for end, click in enumerate(clicks):
        links[click.url] += 1
        while click.at - clicks[begin].at > BURST:
            links[clicks[begin].url] -= 1
            if not links[clicks[begin].url]:
                del links[clicks[begin].url]
            begin += 1
        if len(links) < least:
            continue
        if begin < span[1]:
            span = (span[0], end + 1)
        else:
            if span[1]:
                yield span
            span = (begin, end + 1)
    if span[1]:
        yield span


def _unseen(pages: Sequence[datetime], first: datetime, last: datetime) -> bool:
    """Were this person's pages seen before, and none from these clicks on?"""
    before = bisect_left(pages, first)
    if not before or first - pages[before - 1] > TRACKED:
        return False
    return before == len(pages) or pages[before] > last + ARRIVES

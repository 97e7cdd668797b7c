"""Invented B2B leads: the same seed gives the same people.

Every person has a level of interest that nobody sees. It decides how much they do, which pages they read and how late
the last sign of life was: most are quiet, a few are hot. All addresses end in ``.example`` (RFC 2606), so that nothing
here can ever reach anybody.
"""

import unicodedata
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import accumulate
from random import Random
from typing import Any

from leadbridge.sandbox.people_words import (
    COMPANY_FORMS,
    COMPANY_HEADS,
    COMPANY_TAILS,
    CONNECTED_CALL,
    FIRST,
    FORM_PAGES,
    FORMS,
    INDUSTRIES,
    LAST,
    MAILINGS,
    OWNERS,
    PAGES,
    PLACES,
    SESSIONS,
    SIZES,
    SOURCES,
    STAGES,
    STATUSES,
    TIMEFRAMES,
    TITLES,
)
from leadbridge.sandbox.population import (
    DEMO_JOURNEYS,
    Company,
    JourneyPlan,
    Mailing,
    Person,
    Population,
    Subscription,
    Touch,
    counters,
    custom_property,
    load,
)

FREE_MAIL = "mail-free.example"
SITE = "https://www.northwind-tools.example"
LOOK_BACK = timedelta(days=183)
OLDEST = timedelta(days=300)
PEOPLE_PER_COMPANY = 4
FREE_MAIL_SHARE = 0.06
OPT_OUT_SHARE = 0.025
SPREAD = 1.3  # of interest: the standard deviation of its logarithm
HOT = 3.0  # interest from which somebody looks like a buyer


class _Draw:
    """A weighted choice whose sums are made once."""

    def __init__(self, weights: Mapping[Any, float]) -> None:
        self._values = list(weights)
        self._sums = list(accumulate(weights.values()))

    def __call__(self, rng: Random) -> Any:
        return rng.choices(self._values, cum_weights=self._sums)[0]


def _two(table: dict[str, tuple[Any, ...]]) -> tuple[_Draw, _Draw]:
    """Draws for the cold and the hot from a table whose last two columns are their weights."""
    return _Draw({key: row[-2] for key, row in table.items()}), _Draw({key: row[-1] for key, row in table.items()})


_industry, _place, _size = _Draw(INDUSTRIES), _Draw(PLACES), _Draw(SIZES)
_source, _status = _Draw(SOURCES), _Draw(STATUSES)
_title = _Draw({title: weight for title, (weight, _) in TITLES.items()})
_session, _page = _two(SESSIONS), _two(PAGES)
_form = (
    _Draw({"Newsletter": 6, "E-book download": 4, "Contact us": 1}),
    _Draw({"Newsletter": 1, "E-book download": 3, "Demo request": 4, "Contact us": 2}),
)
_stage = (
    _Draw(dict(zip(STAGES, (36, 55, 5, 1, 3), strict=True))),
    _Draw(dict(zip(STAGES, (4, 30, 34, 18, 14), strict=True))),
)


def invent(count: int, seed: int, now: datetime, *, activities_per_person: float = 10.0) -> Population:
    """``count`` people with companies and half a year of activity before ``now``.

    ``activities_per_person`` is the mean of what the CRM holds; activity of Mailchimp campaigns comes on top.
    """
    rng = Random(seed)
    companies = _companies(rng, max(1, count // PEOPLE_PER_COMPANY))
    taken: set[str] = set()
    people: list[Person] = []
    interests: list[float] = []
    for _ in range(count):
        interest, person = _person(rng, companies, taken, now, activities_per_person)
        interests.append(interest)
        people.append(person)
    return Population(
        now,
        properties=[
            custom_property("budget_amount", "Budget", "number"),
            custom_property("purchase_timeframe", "Purchase timeframe", "enumeration", TIMEFRAMES),
        ],
        companies=companies,
        contacts=people,
        forms=list(FORMS),
        owners=list(OWNERS),
        mailings=[_mailing(rng, number, people, interests, now) for number in range(len(MAILINGS))],
    )


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss").replace("ø", "o")).encode("ascii", "ignore").decode()
    return "".join(letter for letter in plain.lower() if letter.isalnum())


def _companies(rng: Random, count: int) -> list[Company]:
    taken: set[str] = set()
    companies = []
    for number in range(count):
        name = rng.choice(COMPANY_HEADS) + rng.choice(COMPANY_TAILS)
        if name in taken:
            name += str(number)
        taken.add(name)
        country, city = _place(rng)
        low, high = _size(rng)
        employees = rng.randint(low, high)
        companies.append(
            Company(
                {
                    "name": f"{name} {rng.choice(COMPANY_FORMS)}",
                    "domain": f"{_slug(name)}.example",
                    "industry": _industry(rng),
                    "numberofemployees": str(employees),
                    "annualrevenue": str(employees * rng.randint(60, 180) * 1000),
                    "country": country,
                    "city": city,
                }
            )
        )
    return companies


def _person(
    rng: Random, companies: list[Company], taken: set[str], now: datetime, per_person: float
) -> tuple[float, Person]:
    first, last, title = rng.choice(FIRST), rng.choice(LAST), _title(rng)
    index = None if rng.random() < FREE_MAIL_SHARE else rng.randrange(len(companies))
    company = companies[index].properties if index is not None else {}
    interest = rng.lognormvariate(0, SPREAD) * TITLES[title][1]
    hot = interest >= HOT
    created = _whole(now - OLDEST * rng.random() - timedelta(hours=1))
    touches = _touches(rng, interest, created, now, per_person)
    country, city = (company["country"], company["city"]) if company else _place(rng)
    stage = _stage[hot](rng)
    properties = {
        "email": _address(f"{_slug(first)}.{_slug(last)}", company.get("domain", FREE_MAIL), taken),
        "firstname": first,
        "lastname": last,
        "jobtitle": title,
        "company": company.get("name", ""),
        "country": country,
        "city": city,
        "lifecyclestage": stage,
        "hs_lead_status": {"opportunity": "OPEN_DEAL", "marketingqualifiedlead": "OPEN"}.get(stage, "NEW"),
        "hs_analytics_source": _source(rng),
        **_bant(rng, hot=hot),
        **counters(touches),
    }
    subscription = _subscription(rng, created, now)
    if rng.random() < OPT_OUT_SHARE:  # some of them still subscribed in Mailchimp: the stricter word must win
        properties["hs_email_optout"] = "true"
    return interest, Person(
        {name: value for name, value in properties.items() if value},
        created,
        max([created, *(touch.at for touch in touches[-1:])]),
        index,
        rng.randrange(len(OWNERS)) if stage in STAGES[2:] else None,
        subscription,
        touches,
    )


def _whole(at: datetime) -> datetime:
    return at.replace(microsecond=0)


def _address(local: str, domain: str, taken: set[str]) -> str:
    address, number = f"{local}@{domain}", 1
    while address in taken:
        number += 1
        address = f"{local}{number}@{domain}"
    taken.add(address)
    return address


def _bant(rng: Random, *, hot: bool) -> dict[str, str]:
    """Budget and timeframe, which few have told."""
    told = 0.45 if hot else 0.1
    found = {}
    if rng.random() < told:
        found["budget_amount"] = str(500 * max(1, round(rng.lognormvariate(2.6 if hot else 1.6, 0.9))))
    if rng.random() < told:
        reach = 3 if hot else len(TIMEFRAMES)
        found["purchase_timeframe"] = TIMEFRAMES[rng.randrange(reach)]
    return found


def _subscription(rng: Random, created: datetime, now: datetime) -> Subscription | None:
    status = _status(rng)
    if not status:
        return None
    left = status in ("unsubscribed", "cleaned")
    since = created if not left else _whole(created + (now - created) * rng.random())
    return Subscription(status, since, by_person=status == "unsubscribed" and rng.random() < 0.85)


# --- what they do ------------------------------------------------------------------------------------------------

_MEAN_INTEREST = 2.33 * sum(w * f for w, f in TITLES.values()) / sum(w for w, _ in TITLES.values())  # exp(SPREAD²/2)


def _touches(rng: Random, interest: float, created: datetime, now: datetime, per_person: float) -> tuple[Touch, ...]:
    """Sessions until there are as many touches as this interest brings; oldest first."""
    wanted = int(min(per_person * interest / _MEAN_INTEREST, per_person * 15) + rng.random())
    hot = interest >= HOT
    span = min(LOOK_BACK, now - created)
    found: list[Touch] = []
    while len(found) < wanted:
        # The interested were here lately; the others come to mind long ago.
        at = _whole(now - span * (rng.random() ** (2.2 if hot else 0.8)))
        session = _session[hot](rng)
        found += _SESSION[session](rng, at, hot=hot)
    del found[wanted:]
    return tuple(sorted((touch for touch in found if touch.at <= now), key=lambda touch: touch.at))


def _visit(rng: Random, at: datetime, *, hot: bool) -> Iterator[Touch]:
    for step in range(rng.randint(1, 5 if hot else 3)):
        path = _page[hot](rng)
        detail = {"url": SITE + path, "title": PAGES[path][0]}
        yield Touch("page_view", at + timedelta(seconds=step * rng.randint(20, 140)), detail)


def _fill(rng: Random, at: datetime, *, hot: bool) -> Iterator[Touch]:
    form = _form[hot](rng)
    url = SITE + FORM_PAGES[form]
    yield Touch("page_view", at, {"url": url, "title": form})
    yield Touch("form", at + timedelta(seconds=45), {"form": form, "url": url})


def _mail(rng: Random, at: datetime, *, hot: bool) -> Iterator[Touch]:
    campaign = rng.randint(1, 12)
    yield Touch("email", at, {"event": "SENT", "campaign": campaign})
    if rng.random() < 0.02:
        yield Touch("email", at + timedelta(seconds=20), {"event": "BOUNCE", "campaign": campaign})
        return
    yield Touch("email", at + timedelta(seconds=30), {"event": "DELIVERED", "campaign": campaign})
    opened = at + timedelta(minutes=rng.randint(3, 2000))
    if rng.random() < (0.7 if hot else 0.25):
        yield Touch("email", opened, {"event": "OPEN", "campaign": campaign})
        if rng.random() < (0.5 if hot else 0.12):
            url = SITE + _page[hot](rng)
            yield Touch("email", opened + timedelta(seconds=40), {"event": "CLICK", "campaign": campaign, "url": url})


def _call(rng: Random, at: datetime, *, hot: bool) -> Iterator[Touch]:
    del hot
    answered = rng.random() < 0.6
    properties = {
        "hs_call_title": "Follow-up call",
        "hs_call_direction": "OUTBOUND",
        "hs_call_status": "COMPLETED" if answered else "NO_ANSWER",
        "hs_call_duration": str(rng.randint(60, 1500) * 1000 if answered else 0),
        **({"hs_call_disposition": CONNECTED_CALL} if answered else {}),
    }
    yield Touch("engagement", at, {"object": "calls", "properties": properties})


def _meeting(rng: Random, at: datetime, *, hot: bool) -> Iterator[Touch]:
    del hot
    properties = {
        "hs_meeting_title": "Product demo",
        "hs_meeting_outcome": "COMPLETED" if rng.random() < 0.75 else "NO_SHOW",
        "hs_meeting_start_time": at.isoformat(),
        "hs_meeting_end_time": (at + timedelta(minutes=30)).isoformat(),
    }
    yield Touch("engagement", at, {"object": "meetings", "properties": properties})


_SESSION = {"visit": _visit, "form": _fill, "mailing": _mail, "call": _call, "meeting": _meeting}


def _mailing(rng: Random, number: int, people: list[Person], interests: list[float], now: datetime) -> Mailing:
    """A past campaign to everybody subscribed by then."""
    sent = _whole(now - timedelta(days=12 + 21 * (len(MAILINGS) - 1 - number)))
    reactions: dict[str, tuple[tuple[str, datetime, str], ...]] = {}
    for person, interest in zip(people, interests, strict=True):
        held = person.subscription
        if held is None or held.status != "subscribed" or held.since > sent:
            continue
        hot = interest >= HOT
        found: list[tuple[str, datetime, str]] = []
        if rng.random() < (0.65 if hot else 0.22):
            opened = sent + timedelta(minutes=rng.randint(2, 3000))
            found.append(("open", opened, ""))
            if rng.random() < (0.4 if hot else 0.1):
                found.append(("click", opened + timedelta(seconds=50), SITE + _page[hot](rng)))
        reactions[person.email] = tuple(found)
    return Mailing(MAILINGS[number], sent, reactions)


__all__ = [
    "DEMO_JOURNEYS",
    "FREE_MAIL",
    "Company",
    "JourneyPlan",
    "Mailing",
    "Person",
    "Population",
    "Subscription",
    "Touch",
    "invent",
    "load",
]

"""Half a year in the life of an audience: scoring, journeys, sales and care, week by week, as the vendors saw it.

People come, read, follow links, leave, bounce, opt out in the CRM, are deleted, erased and merged, buy, and are sent
back by sales. What one journey does to buying is built in; the report has to find it again. All of it is drawn from a
seed.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leadbridge.errors import VendorError
from leadbridge.sandbox.mailchimp.state import hash_of
from leadbridge.sandbox.server import Sandbox
from leadbridge.store import Store, hand_offs
from leadbridge.types import EnrolmentState as E
from sync import coverage, machines, outcomes
from tests.helpers import rooms
from tests.helpers.syncing import BASE, TAG, TRIGGER, Moving, Stage, configuration, journey, moving

WEEKS, ARRIVING = 26, 12
START = datetime(2026, 6, 1, 9, tzinfo=UTC)
BUYS_ANYWAY, BUYS_MORE = 0.10, 0.25
"""Share that becomes a customer some weeks after arriving, and what the guides add to it for who got them."""

PAGES = {"name": "pages", "category": "engagement", "activity": "page_view", "points": 8, "within": "28d"}
CLICKS = {"name": "clicks", "category": "engagement", "activity": "email_clicked", "points": 4, "within": "28d"}
SECTIONS: dict[str, Any] = {
    "fields": BASE["fields"]
    | {
        "budget": {"hubspot": "annualrevenue", "type": "number"},
        "lead_status": {"hubspot": "hs_lead_status"},
        "lifecycle_stage": {"hubspot": "lifecyclestage"},
        "why_not": {"hubspot": "message"},
    },
    "scores": {"lead": BASE["scores"]["lead"] | {"rules": [*BASE["scores"]["lead"]["rules"][:2], PAGES, CLICKS]}},
    "stages": {
        "sql": {
            "when": {"score.lead": {"at_least": 50}, "budget": {"at_least": 1000}},
            "until": {"any": [{"score.lead": {"below": 30}}, {"hand_off": {"in": ["rejected", "lost"]}}]},
        },
        "mql": {"when": {"score.lead": {"at_least": 50}}},
    },
    "hand_off": {
        "on": "sql",
        "task": {"within": "4h"},
        "rejected": {"when": {"lead_status": "UNQUALIFIED"}, "reason": "why_not", "rest": "7d", "again_after": "60d"},
    },
    "measurement": {"goal": {"reaches": "customer", "within": "90d"}},
}
LINKS = [f"https://acme.example/guide/{n}" for n in range(4)]


@dataclass
class Person:
    """One invented life."""

    email: str
    arrives: int  # week
    buys_after: int  # weeks
    luck: float  # whether they buy
    boss: bool
    rich: bool
    record: str = ""
    gone: bool = False  # from the CRM
    left: bool = False  # may not be mailed any more
    customer: bool = False


@dataclass
class Life:
    """The audience, and what became of it so far."""

    made: Stage
    time: Moving
    rng: random.Random
    people: list[Person]
    may_not_since: dict[str, tuple[datetime, str]] = field(default_factory=dict)  # address: from when on, and why
    halfway: coverage.Coverage | None = None

    def live(self) -> None:
        for week in range(WEEKS):
            self.time.on(days=7)
            for person in self.people:
                if person.arrives == week:
                    self._arrive(person)
                elif person.arrives < week and not person.gone:
                    self._week_of(person, week)
            if week % 4 == 3:
                self._merge_two()
            self._round()
            self._sales()
            if week == WEEKS // 3:
                self.halfway = coverage.coverage(self.made.store, self.made.parts.scorer)

    def _round(self) -> None:
        """One round; one that a vendor's slow answer cuts short is made again, as the worker does."""
        for tries_left in (2, 1, 0):
            try:
                self.made.sync()
                return
            except VendorError:
                if not tries_left:
                    raise

    def _arrive(self, person: Person) -> None:
        more = {"jobtitle": "Director"} if person.boss else {}
        more |= {"annualrevenue": "5000"} if person.rich else {}
        person.record = self.made.lead(person.email, self.rng.choices(["subscribed", "pending"], [95, 5])[0], **more)

    def _week_of(self, person: Person, week: int) -> None:
        hubspot, mailchimp, chance = self.made.sandbox.hubspot, self.made.sandbox.mailchimp, self.rng.random()
        if self.rng.random() < 0.1:
            hubspot.track(person.record, {"hs_analytics_num_page_views": str(week + 1)})
        self._reads(person)
        if chance < 0.006 and self._subscribed(person):
            mailchimp.person_unsubscribes(person.email)
            self._may_not(person, "unsubscribed")
        elif chance < 0.008 and self._subscribed(person):
            mailchimp.mail_bounces(person.email)
            self._may_not(person, "bounced")
        elif chance < 0.010:
            self.made.opt_out_in_the_crm(person.record)
            self._may_not(person, "opted out in the CRM")
        elif chance < 0.011:
            hubspot.archive_contact(person.record)
            person.gone = True
        elif chance < 0.012:
            hubspot.gdpr_delete(person.record)
            self._may_not(person, "erased")
            person.gone = True
        if week == person.arrives + person.buys_after and not person.gone:
            share = BUYS_ANYWAY + (BUYS_MORE if self._in_guides(person) else 0.0)
            if person.luck < share:
                self.made.edit(person.record, lifecyclestage="customer")
                person.customer = True

    def _reads(self, person: Person) -> None:
        """Opens and clicks in the mail of the guides, some of them a scanner's."""
        mailchimp, at = self.made.sandbox.mailchimp, self.time.at - timedelta(days=2)
        if not self._in_guides(person) or self.rng.random() < 0.9:
            return
        mail = mailchimp.core.state.journeys[11].campaign_id
        match self.rng.randrange(3):
            case 0:
                mailchimp.scanner_clicks(mail, person.email, at, LINKS)
            case 1:
                mailchimp.add_campaign_activity(mail, person.email, "open", at)
            case _:
                mailchimp.add_campaign_activity(mail, person.email, "click", at, LINKS[0])

    def _merge_two(self) -> None:
        """Two records of the CRM become one: one person with two addresses, of whom the stricter holds."""
        here = [p for p in self.people if p.record and not p.gone and not p.left and not p.customer]
        one, other = self.rng.sample(here, 2)
        one.record = self.made.sandbox.hubspot.merge(one.record, other.record)
        other.gone = True

    def _sales(self) -> None:
        """Every second person handed over is sent back."""
        with self.made.store.reading() as tx:
            rows = {row.person_id for row in hand_offs.since(tx, self.time.at - timedelta(hours=1))}
        for person in self.people:
            may_be = person.boss and person.rich and person.record and not person.gone
            if may_be and self.made.person(person.record) in rows and self.rng.random() < 0.5:
                self.made.edit(person.record, hs_lead_status="UNQUALIFIED", message="no budget after all")

    def _may_not(self, person: Person, why: str) -> None:
        person.left = True
        self.may_not_since.setdefault(hash_of(person.email), (self.time.at, why))

    def _subscribed(self, person: Person) -> bool:
        return self.made.sandbox.mailchimp.member(person.email).status == "subscribed"

    def _in_guides(self, person: Person) -> bool:
        contact = self.made.sandbox.mailchimp.member(person.email).contact_id
        return contact in self.made.sandbox.mailchimp.core.state.journeys[11].entries


def drawn(count: int, rng: random.Random) -> list[Person]:
    return [
        Person(
            f"p{n}@acme{n % 97}.example",
            arrives=n % ARRIVING,
            buys_after=rng.randint(1, 8),
            luck=rng.random(),
            boss=rng.random() < 0.15,
            rich=rng.random() < 0.4,
        )
        for n in range(count)
    ]


def lived(store: Store, count: int) -> "Judged":
    """The half year, and all that has to hold after it."""
    rng = random.Random(20260601)
    guides = journey(TAG, holdout="30%", lasts="28d")
    offer = journey(TRIGGER, when={"score.lead": {"at_least": 50}}, track="events", phase="consideration")
    with Sandbox() as sandbox:
        rooms.unlimited(sandbox)
        sandbox.mailchimp.settings.journeys_readable = True
        sandbox.hubspot.settings.enterprise = False
        sandbox.mailchimp.add_journey(11, TAG, tag="Leadbridge guides", reentry=True)
        sandbox.mailchimp.add_journey(12, TRIGGER, step_id=34, reentry=True)  # nothing but we prevents a second mail
        hubspot = {"token": rooms.HUBSPOT_TOKEN, "base_url": sandbox.url, "requests_per_10s": 10000}
        mailchimp = {"api_key": rooms.MAILCHIMP_KEY, "audience": rooms.AUDIENCE, "base_url": f"{sandbox.url}/3.0"}
        connections = {"hubspot": hubspot | {"activities": ["events"]}, "mailchimp": mailchimp}
        made = Stage(sandbox, store, configuration(sandbox.url, guides, offer, connections=connections, **SECTIONS))
        with moving(made, START) as time:
            made.apply()
            life = Life(made, time, rng, drawn(count, rng))
            life.live()
            return Judged(life)


class Judged:
    """What is looked at when the half year is over, while its parts still stand."""

    def __init__(self, life: Life) -> None:
        made = life.made
        self.life = life
        self.harmless = made.harmless()
        self.ledger = made.ledger()
        self.mails = [
            (datetime.fromisoformat(call.at), effect.detail["email_hash"], effect.detail["journey"])
            for call in made.sandbox.world.journal
            for effect in call.effects
            if effect.kind == "mail_sent"
        ]
        self.covered = coverage.coverage(made.store, made.parts.scorer)
        self.machines = machines.machines(made.store, made.parts.scorer)
        with made.store.reading() as tx:
            (self.guides, _) = outcomes.journeys(tx, made.config, made.now())
            self.handed = outcomes.handed_over(tx, made.config, made.now(), weeks=WEEKS + 2)


def hold(found: Judged) -> None:
    # Nobody was mailed who may not be, by the vendor's own journal, and nobody twice.
    assert found.harmless
    forbidden = [
        (email, why)
        for at, email, _ in found.mails
        if email in found.life.may_not_since
        for since, why in [found.life.may_not_since[email]]
        if at > since
    ]
    assert forbidden == []
    assert set(Counter((email, number) for _, email, number in found.mails).values()) == {1}

    # Every row of the ledger tells why in, and why out or why not; and the ledger and the vendor agree.
    assert all(row.reason_in for row in found.ledger)
    assert all(row.words for row in found.ledger if row.state in (E.REFUSED, E.CANCELLED, E.EXPIRED, E.HELD))
    assert all(row.reason_out for row in found.ledger if row.left_at is not None)
    entered = {(hash_of(row.address), row.journey) for row in found.ledger if row.state is E.DONE}
    names = {11: TAG, 12: TRIGGER}
    assert {(email, names[number]) for _, email, number in found.mails} - entered <= {
        (email, name) for email in found.life.may_not_since for name in names.values()
    }  # the ledger forgets who was erased
    assert not [row for row in found.ledger if row.state in (E.UNCERTAIN, E.CALLING)]

    # Everybody who may be contacted is covered, or it is said why not: while people come, and at the end.
    assert found.life.halfway is not None
    assert found.life.halfway.in_journey[TAG] > 0
    for one in (found.life.halfway, found.covered):
        assert one.unexplained == 0
        assert one.contactable > 0
        assert one.not_contactable.total() + one.contactable == one.people

    # What was built in is found again.
    up, share = found.guides.uplift, found.guides.entered / found.guides.treated.people
    assert up is not None
    truth = BUYS_MORE * share
    assert up.low <= truth <= up.high
    assert up.always_low <= truth <= up.always_high

    # All of it happened: scanners, sales, rejections.
    assert found.machines.events.total() > 0
    assert sum(week.handed_over for week in found.handed.weeks) > 0
    assert sum(week.outcomes["rejected"] for week in found.handed.weeks) > 0


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("people", [250, pytest.param(5000, marks=pytest.mark.slow)])
def test_half_a_year_harms_nobody_forgets_nobody_and_tells_the_truth(store: Store, people: int) -> None:
    hold(lived(store, people))

"""What bounds contact, read off the store: caps, the usual, the canary, the stop switch, usable scores (G23, G24)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from leadbridge import clock
from leadbridge.config.guards import Guards
from leadbridge.config.nurture import Nurture
from leadbridge.config.schema import Config
from leadbridge.store import audit, enrolments, policies, ranking, stops
from leadbridge.store.engine import Store
from nurture import gate


@dataclass(frozen=True, slots=True)
class Rules:
    """What bounds contact during one run."""

    guards: Guards
    usual_day: float | None  # contacts on a usual day
    unusable: str  # what is wrong with the scores; empty: nothing
    nurture: Nurture
    offers: Mapping[str, Sequence[str]] = field(default_factory=dict)  # journey: what its mails offer
    add_members: bool = False  # may whoever agreed be added to the audience?


def rules_of(store: Store, config: Config) -> Rules:
    """The bounds as the configuration and the store have them now."""
    main = next(iter(config.scores))
    least = config.guards.all_alike_from
    with store.reading() as tx:
        usual = enrolments.usual_day(tx, clock.now())
        alike = ranking.all_alike(tx, main, least)
    why = f"the score {main} is the same for all of {least} people and more: it tells nobody from anybody"
    offered = {journey.name: journey.offers for journey in config.nurture.journeys if journey.offers}
    return Rules(config.guards, usual, why if alike else "", config.nurture, offered, config.consent.add_members)


def allowance(tx: Connection, rules: Rules, audience: int, now: datetime) -> gate.Allowance:
    """How many may be called now. Take `engine.exclusive(tx, "contact")` first, to count and call within it."""
    return gate.allowance(rules.guards, made(tx, rules, audience, now))


def made(tx: Connection, rules: Rules, audience: int, now: datetime) -> gate.Made:
    """Whom there is to contact, how many were lately, and what holds the rest back."""
    policy = policies.in_force(tx)
    stop = stops.stopped(tx, stops.CONTACT)
    waits = policy is not None and policy.released_at is None
    return gate.Made(
        audience=audience,
        last_hour=enrolments.made_since(tx, now - timedelta(hours=1)),
        last_day=enrolments.made_since(tx, now - timedelta(days=1)),
        usual_day=rules.usual_day,
        canary=policies.contacted_since(tx, policy) if policy is not None and waits else None,
        stopped=str(stop) if stop else "",
        unusable=rules.unusable,
    )


def release_lapsed_canary(tx: Connection, guards: Guards, now: datetime) -> None:
    """A canary that has lasted its time lets go of what it held (`guards.canary.lasts`)."""
    policy = policies.in_force(tx)
    if policy is None or policy.released_at is not None:
        return
    if now - policy.began_at >= timedelta(seconds=guards.canary.lasts):
        policies.release(tx, policy.digest, "time", now)
        held = enrolments.release_held(tx, "the time of the canary is over", now)
        audit.note(tx, "leadbridge", "canary released by time", {"policy": policy.digest, "held": held}, now)

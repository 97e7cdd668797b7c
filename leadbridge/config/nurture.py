"""The part of the file that says who is contacted, how, and how often at most."""

import re
from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from leadbridge.config.conditions import AllOf, Condition, Duration, FieldTest, When
from leadbridge.config.kinds import (
    DAY,
    FieldStart,
    Name,
    Section,
    Share,
    TriggerAddress,
    across,
)
from leadbridge.types import ActivityKind, BuyerJourney, way_name

EXACT = 1e-9
"""How exactly shares have to come to the whole: written to six places of a per cent, and added up."""

ExitOn = Literal["conversion", "stage_change"]
ReEnter = Literal["never", "after_exit", "new_reason"]


def same_start(start: str) -> str:
    """One spelling of what starts a journey: case tells no tags apart, nor the host two addresses of one step."""
    steps = re.search(r"journeys/(\d+)/steps/(\d+)", start)
    return steps[0] if steps else start.strip().casefold()


class MailchimpTrigger(Section):
    """How a journey is started: by a tag or a merge field (repeatable, preferred), or at its Journeys API address."""

    tag: str | None = Field(None, min_length=1, max_length=100, description="tag that starts it")
    merge_field: FieldStart | None = Field(None, description="FIELD=value: the change of an audience field starts it")
    trigger: TriggerAddress | None = Field(None, description="address shown by the journey builder")
    exit_tag: str | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="tag that its exit condition looks for; takes a person out of it",
    )

    @property
    def start(self) -> str:
        """What starts it, as the ledger records it."""
        return self.tag or self.merge_field or self.trigger or ""

    @model_validator(mode="after")
    def _one_way(self) -> "MailchimpTrigger":
        if sum(way is not None for way in (self.tag, self.merge_field, self.trigger)) != 1:
            raise across("needs exactly one of tag, merge_field and trigger", "tag", "merge_field", "trigger")
        if self.exit_tag is not None and self.exit_tag.casefold() == (self.tag or "").casefold():
            raise across("takes people out at the moment it lets them in: choose another exit_tag", "exit_tag", "tag")
        return self


class Way(Section):
    """One way into a journey: the platform that sends it, and what starts it there."""

    name: str = Field(min_length=1, max_length=100, description="name in the ledger and in reports")
    mailchimp: MailchimpTrigger | None = Field(None, description="how it is started")
    plugins: dict[Name, str] = Field(
        default={}, description="instead: by the name of a plugin, what its platform calls the journey"
    )

    @property
    def platforms(self) -> int:
        """How many platforms it names; one is right."""
        return (self.mailchimp is not None) + len(self.plugins)

    @property
    def platform(self) -> str:
        """The e-mail platform that sends it, as connections names it."""
        return "mailchimp" if self.mailchimp is not None else next(iter(self.plugins))

    @property
    def start(self) -> str:
        """What starts it, as the ledger records it."""
        return self.mailchimp.start if self.mailchimp is not None else self.plugins[self.platform]

    @property
    def exit_tag(self) -> str | None:
        """The tag that takes a person out of it, where there is one."""
        return self.mailchimp.exit_tag if self.mailchimp is not None else None


class Variant(Way):
    """One of several forms of a journey that are compared with each other."""

    share: Share = Field(description="share of the people who get it; all of them together come to 100%")

    @model_validator(mode="after")
    def _at_one_platform(self) -> "Variant":
        if self.platforms != 1:
            raise across("needs one platform that sends it: mailchimp, or a plugin", "mailchimp", "plugins")
        return self


class Journey(Way):
    """One nurture journey, in order of preference."""

    variants: list[Variant] = Field(
        default=[], description="instead of one way in: forms of it to compare, each with its share of the people"
    )
    when: When = Field(description="who gets it")
    track: Name = Field("main", description="of the journeys of one track a person is in at most one at a time")
    priority: int = Field(0, description="the highest that fits is taken; among equals, the first in the file")
    phase: BuyerJourney | None = Field(
        None, description="what its mails are about; default: the buyer_journey that `when` asks for"
    )
    urgent: bool = Field(False, description="true: goes before everybody else who waits (pricing, demo, cart)")
    until: When | None = Field(None, description="who is in it leaves when this holds")
    exit_on: list[ExitOn] = Field(
        default=["conversion"], description="what else ends it: conversion (opportunity or customer), stage_change"
    )
    lasts: Duration | None = Field(
        None, description="over by itself after so long, which its mails take; default: quiet_after_enrolment"
    )
    re_enter: ReEnter = Field(
        "never", description="may be entered again: never, after_exit, or new_reason (a rule that gave no points then)"
    )
    re_enter_after: Duration | None = Field(None, description="may be entered again after this long; default: never")
    rest: Duration | None = Field(None, description="no other journey of its track this soon after it is over")
    offers: list[str] = Field(default=[], description="assets of the catalogue that its mails offer")
    holdout: Share = Field(0.0, description="share kept out, to measure what the journey does")

    @model_validator(mode="after")
    def _at_one_platform(self) -> "Journey":
        ways = ("mailchimp", "plugins", "variants")
        if self.platforms + bool(self.variants) != 1:
            raise across(
                "needs one platform that sends it: mailchimp, or a plugin; or variants, each with its own", *ways
            )
        if not self.variants:
            return self
        if len(self.variants) == 1:
            raise across("has one of its variants only, and nothing to compare it with; add another", *ways)
        whole = sum(variant.share for variant in self.variants)
        if abs(whole - 1) > EXACT:
            shares = " + ".join(f"{variant.share * 100:g}%" for variant in self.variants)
            raise across(
                f"has variants whose shares come to {whole * 100:g}% ({shares}); make them come to 100%", *ways
            )
        if len({variant.platform for variant in self.variants}) > 1:
            raise across("has variants on different platforms, so that platforms would be compared; use one", *ways)
        return self

    @property
    def ways(self) -> Mapping[str, Way]:
        """The ways into it, by variant; "" is the only one of a journey without variants."""
        return {variant.name: variant for variant in self.variants} or {"": self}

    @property
    def about(self) -> BuyerJourney | None:
        """The phase its mails speak to: as stated, or the one that its condition asks for."""
        return self.phase or _asked_for(self.when)


def _asked_for(when: Condition) -> BuyerJourney | None:
    """The only phase in which a condition can hold, when it says so plainly."""
    match when:
        case FieldTest(field="buyer_journey", test=test) if isinstance(test.equals, str):
            return BuyerJourney(test.equals)
        case AllOf():
            return next((found for part in when.parts if (found := _asked_for(part))), None)
    return None


class Pressure(Section):
    """How much a person is written to."""

    quiet_after_enrolment: Duration = Field(7 * DAY, description="no second journey of a track this soon after one")
    low_commitment: list[ActivityKind] = Field(
        default=[
            ActivityKind.SOCIAL_FOLLOWED,
            ActivityKind.SOCIAL_LIKED,
            ActivityKind.EMAIL_OPENED,
            ActivityKind.LIST_JOINED,
        ],
        description="who did nothing but these gets no decision mail, and sales no alert about them",
    )
    at_most: int | None = Field(
        None, ge=1, description="journeys that one person enters at most `within`, of all tracks together"
    )
    within: Duration = Field(30 * DAY, description="the time that at_most is counted in")


class Nurture(Section):
    """Who gets which journey: of each track, the first whose `when` holds."""

    enabled: bool = Field(True, description="false: score only, enrol nobody")
    journeys: list[Journey] = Field(default=[], description="in order of preference: the first that fits is taken")
    pressure: Pressure = Field(Pressure(), description="how much a person is written to")
    pause_while: When | None = Field(
        None, description="while this holds no journey begins: an open ticket, a sequence of sales"
    )
    until: When | None = Field(
        None, description="when this holds, whoever is in any journey leaves it and enters none: a reply, a question"
    )

    @property
    def ways(self) -> dict[str, Way]:
        """Every way into every journey, by the name that an e-mail platform is told (`way_name`)."""
        return {
            way_name(journey.name, variant): way for journey in self.journeys for variant, way in journey.ways.items()
        }

"""Every key a user may write in `leadbridge.yaml`: type, default, one-line help.

Pydantic checks shapes here, one section at a time; what needs the whole file (a rule naming an unknown field, two
rules of one name) is checked in `bind` and `whole`, so that every fault is reported in one go. A file is loaded by
`load`; a Config made in Python from plain data passes the checks of this module only.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field, SecretStr, model_validator

from leadbridge.config.conditions import Condition, Duration, When, fields_of
from leadbridge.config.kinds import (
    HttpAddress,
    HubSpotSource,
    HubSpotTarget,
    MergeField,
    Name,
    OneOrMany,
    PathSecret,
    Section,
    Share,
    StoreAddress,
    TriggerAddress,
    across,
)
from leadbridge.types import BOUND_LINE, ActivityKind, BuyerJourney, LifecycleStage

BUILT_IN_FIELDS = {
    "email": "text",
    "email_domain": "text",
    "lifecycle_stage": "text",
    "opted_out": "boolean",
    "created_at": "datetime",
}
"""Fields every person has without being mapped."""

DAY = 86400.0

FieldType: TypeAlias = Literal["text", "integer", "number", "boolean", "date", "datetime"]


# --- connections ---------------------------------------------------------------------------------------------------


class HubSpotConnection(Section):
    """HubSpot: what to connect with, and which sources of activity to read."""

    token: SecretStr = Field(description="service key or private app token")
    webhook_secret: SecretStr | None = Field(None, description="client secret of the app that sends webhooks")
    webhook_secret_previous: SecretStr | None = Field(None, description="the old secret, valid too while you rotate")
    base_url: HttpAddress = Field("https://api.hubapi.com", description="where the API is")
    api_version: Literal["v3", "2026-09"] = Field("v3", description="version of HubSpot's paths")
    activities: list[Literal["events", "forms", "email_events", "meetings", "calls"]] = Field(
        default=["events", "forms", "email_events", "meetings", "calls"],
        description="sources of activity to read; one the account lacks is switched off with a word",
    )
    history: Duration = Field(180 * DAY, description="how far back the first pull reads activity")
    requests_per_10s: int = Field(80, ge=1, le=10000, description="calls we allow ourselves in any ten seconds")
    searches_per_second: float = Field(3, gt=0, le=5, description="searches we allow ourselves (HubSpot: 5)")
    lookback: Duration = Field(10 * 60, description="overlap of two pulls: HubSpot's search index lags")

    @model_validator(mode="after")
    def _new_before_old(self) -> "HubSpotConnection":
        if self.webhook_secret_previous is not None and self.webhook_secret is None:
            raise across(
                "webhook_secret_previous needs webhook_secret, the one valid now",
                "webhook_secret_previous",
                "webhook_secret",
            )
        return self


class MailchimpConnection(Section):
    """Mailchimp: key and audience."""

    api_key: SecretStr = Field(description="API key, ends in -usNN")
    audience: str = Field(min_length=1, description="audience (list) id")
    base_url: HttpAddress | None = Field(None, description="where the API is; default: from the key's ending")
    webhook_secret: PathSecret | None = Field(None, description="random part of our webhook's path")
    webhook_secret_previous: PathSecret | None = Field(None, description="the old one, valid too while you rotate")
    webhook_signing_secret: SecretStr | None = Field(
        None, description="signing secret that Mailchimp showed when the webhook was made, if it showed one"
    )
    simultaneous: int = Field(4, ge=1, le=9, description="calls in flight at once (Mailchimp: 10 for all your apps)")
    lookback: Duration = Field(DAY, description="overlap of two engagement pulls: reports trail")
    history: Duration = Field(30 * DAY, description="how far back campaigns are followed")
    activities: list[Literal["campaigns"]] = Field(default=["campaigns"], description="sources of activity to read")

    @model_validator(mode="after")
    def _somewhere_to_call(self) -> "MailchimpConnection":
        # The account's data centre is the key's ending, and part of the address (vendor page, section 1).
        if self.base_url is None and not re.search(r"-[a-z]{2,4}\d{1,4}$", self.api_key.get_secret_value()):
            raise across(
                "has no ending such as -us21, which says where the account is; copy the whole key, or add base_url",
                "api_key",
                "base_url",
            )
        return self


class Connections(Section):
    """The systems leadbridge runs beside."""

    hubspot: HubSpotConnection | None = Field(None, description="the CRM")
    mailchimp: MailchimpConnection | None = Field(None, description="the e-mail platform")


# --- fields and write-back -----------------------------------------------------------------------------------------


class FieldMapping(Section):
    """One field of ours: where each CRM keeps it."""

    hubspot: HubSpotSource | None = Field(
        None, description="contact property, or company.PROPERTY of the primary company"
    )
    type: FieldType = Field("text", description="what the value is")
    empty: list[str] = Field(default=[], description='values that mean "not known", such as Select')

    @model_validator(mode="after")
    def _somewhere(self) -> "FieldMapping":
        if self.hubspot is None:
            raise across("does not say where to read it; add hubspot: PROPERTY", "hubspot")
        return self


class WriteBackTarget(Section):
    """One value of ours: the property (HubSpot) and merge field (Mailchimp) to create and fill."""

    hubspot: HubSpotTarget | None = Field(None, description="contact property")
    mailchimp: MergeField | None = Field(None, description="merge field tag, at most 10 letters")

    @model_validator(mode="after")
    def _somewhere(self) -> "WriteBackTarget":
        if self.hubspot is None and self.mailchimp is None:
            raise across("does not say where to write it; add hubspot: PROPERTY", "hubspot", "mailchimp")
        return self


# --- scores --------------------------------------------------------------------------------------------------------


class Category(Section):
    """A part of a score, with its bounds."""

    min: float = Field(0, description="never below this (negative: a category may take points away)")
    max: float = Field(100, description="never above this")

    @model_validator(mode="after")
    def _in_order(self) -> "Category":
        if self.min > self.max:
            raise across(f"min {self.min:g} is above max {self.max:g}", "min", "max")
        return self


class Sequence(Section):
    """What must follow an activity for it to count."""

    then: Annotated[list[ActivityKind], OneOrMany()] = Field(
        min_length=1, description="kind of activity that has to follow, or a list of kinds"
    )
    where: When | None = Field(None, description="condition on the following activity's own values")
    within: Duration = Field(description="it follows less than this long after the first, and never at the same time")


class Rule(Section):
    """One reason for points: an attribute rule (`when`), an activity rule (`activity`), or silence."""

    name: str = Field(min_length=1, max_length=80, description="shown to sales as the reason")
    category: str = Field(description="the part of the score it counts for")
    points: float = Field(description="points given; negative takes away", ge=-1000, le=1000)
    when: When | None = Field(None, description="condition on the person; with an activity: on both")
    activity: Annotated[list[ActivityKind], OneOrMany()] | None = Field(
        None, description="kind of activity, or a list of kinds"
    )
    where: When | None = Field(None, description="condition on the activity's own values, such as url")
    within: Duration | None = Field(None, description="only activity younger than this")
    half_life: Duration | None = Field(None, description="an activity this old counts half")
    at_most: int | None = Field(None, ge=1, description="count the newest n only")
    at_least: int | None = Field(None, ge=1, description="threshold: points once, from n activities on")
    cap: float | None = Field(None, gt=0, description="bound of this rule's points, in size")
    first_only: bool = Field(False, description="true: only the first ever that matches counts, if it is in `within`")
    distinct: str | None = Field(
        None,
        min_length=1,
        description="value of the activity, such as url; of those with the same one the newest counts",
    )
    sequence: Sequence | None = Field(None, description="count only what another activity followed in time")
    each: str | None = Field(None, description="numeric value of the activity that multiplies the points")
    no_activity_for: Duration | None = Field(None, description="points when silent for this long")
    exclusive: str | None = Field(None, description="of the rules with this word, only the largest counts")

    @model_validator(mode="after")
    def _one_sort(self) -> "Rule":
        if self.no_activity_for is None and self.activity is None and self.when is None:
            raise across(
                "needs one of: when (attribute rule), activity, no_activity_for", "when", "activity", "no_activity_for"
            )
        if self.activity is None:
            given = [key for key in OF_ACTIVITY if getattr(self, key) not in (None, False)]
            if given:
                raise across(f"{', '.join(given)} needs activity: KIND", "activity", *given)
        if BOUND_LINE.fullmatch(self.name):
            raise across(f"{self.name!r} is what explanations call a bound; choose another name", "name")
        counting = [key for key in OF_COUNTING if getattr(self, key) not in (None, False)]
        if self.no_activity_for is not None and counting:
            raise across(
                f"{', '.join(counting)} counts activity, so it does not go with no_activity_for",
                "no_activity_for",
                *counting,
            )
        if self.at_least is not None and (self.each is not None or self.half_life is not None):
            raise across(
                "at_least gives its points once, so it goes with neither each nor half_life",
                "at_least",
                "each",
                "half_life",
            )
        several = [key for key in ("at_most", "at_least", "distinct") if getattr(self, key) is not None]
        if self.first_only and several:
            raise across(
                f"first_only counts one activity, so it does not go with {', '.join(several)}", "first_only", *several
            )
        return self


OF_ACTIVITY = (
    "where",
    "within",
    "half_life",
    "at_most",
    "at_least",
    "cap",
    "first_only",
    "distinct",
    "sequence",
    "each",
)
"""Keys of a rule that mean nothing without an activity."""
OF_COUNTING = tuple(key for key in OF_ACTIVITY if key != "where")
"""Keys of a rule that mean nothing to silence: whoever is silent has nothing to count."""


class ScoreModel(Section):
    """One score: categories, rules, grades."""

    min: int = Field(0, ge=-10000, le=10000, description="the least the score can be")
    max: int = Field(100, ge=-10000, le=10000, description="the most the score can be")
    applies_to: When | None = Field(None, description="who has this score; default: everyone")
    categories: dict[Name, Category] = Field(min_length=1, description="parts of the score, each with its bounds")
    rules: list[Rule] = Field(min_length=1, description="reasons for points")
    grades: dict[str, float] = Field(default={}, description="letter: points of the grade category it begins at")
    grade_from: str = Field("fit", description="the category that grades are read from")

    @model_validator(mode="after")
    def _bounds_in_order(self) -> "ScoreModel":
        if self.min >= self.max:
            raise across(f"min {self.min} is not below max {self.max}", "min", "max")
        return self

    @model_validator(mode="after")
    def _grades_from_somewhere(self) -> "ScoreModel":
        if self.grades and self.grade_from not in self.categories:
            raise across(
                f"grades are read from category {self.grade_from!r}, which is not there; set grade_from",
                "grades",
                "grade_from",
                "categories",
            )
        return self


class Trait(Section):
    """One thing that is typical of a persona."""

    name: str = Field(min_length=1, max_length=80, description="shown to sales as the reason")
    when: When = Field(description="condition on the person's own fields")
    weight: float = Field(1, gt=0, le=1000, description="how much it says, beside the other traits")


class Persona(Section):
    """A kind of buyer: what is typical of them."""

    traits: list[Trait] = Field(min_length=1, description="what is typical; nearness is the share of weights that hold")
    at_least: float = Field(50, gt=0, le=100, description="nearness (0 to 100) from which a person is taken for one")


class StageRule(Section):
    """When a person enters a stage, and below what they leave it again."""

    when: When = Field(description="who enters it")
    until: When | None = Field(None, description="leave when this holds; default: when `when` no longer does")


# --- nurture -------------------------------------------------------------------------------------------------------


class MailchimpTrigger(Section):
    """How a journey is started: a tag (repeatable, preferred) or its Customer Journeys API address."""

    tag: str | None = Field(None, min_length=1, max_length=100, description="tag that starts it")
    trigger: TriggerAddress | None = Field(None, description="address shown by the journey builder")

    @model_validator(mode="after")
    def _one_way(self) -> "MailchimpTrigger":
        if (self.tag is None) == (self.trigger is None):
            raise across("needs exactly one of tag and trigger", "tag", "trigger")
        return self


class Journey(Section):
    """One nurture journey, in order of preference."""

    name: str = Field(min_length=1, max_length=100, description="name in the ledger and in reports")
    mailchimp: MailchimpTrigger = Field(description="how it is started")
    when: When = Field(description="who gets it")
    re_enter_after: Duration | None = Field(None, description="may be entered again after this long; default: never")
    holdout: Share = Field(0.0, description="share kept out, to measure what the journey does")


class Pressure(Section):
    """How much a person is written to."""

    quiet_after_enrolment: Duration = Field(7 * DAY, description="no second journey this soon after one")


class Nurture(Section):
    """Who gets which journey: the first whose `when` holds."""

    enabled: bool = Field(True, description="false: score only, enrol nobody")
    journeys: list[Journey] = Field(default=[], description="in order of preference: the first that fits is taken")
    pressure: Pressure = Field(Pressure(), description="how much a person is written to")


class Cap(Section):
    """The larger of a count and a share of the audience."""

    short_form: ClassVar[tuple[str, ...]] = ("count", "share")

    count: int = Field(ge=0, description="people")
    share: Share = Field(description="share of the audience")

    @model_validator(mode="before")
    @classmethod
    def _from_pair(cls, raw: Any) -> Any:
        if isinstance(raw, list):
            if len(raw) != 2:
                raise ValueError("write a count and a share, such as [100, 1%]")
            return {"count": raw[0], "share": raw[1]}
        return raw


class Guards(Section):
    """Caps on contact (reliability G23): beyond them intents wait, nobody is mailed."""

    per_hour: Cap = Field(Cap(count=100, share=0.01), description="enrolments in any hour: [count, share], the larger")
    per_day: Cap = Field(Cap(count=500, share=0.05), description="enrolments in any day: [count, share], the larger")
    loosened_on_purpose: bool = Field(False, description="true: I know that my caps are above the defaults")
    intents_expire_after: Duration = Field(DAY, description="an enrolment not made by then is dropped")

    @model_validator(mode="after")
    def _loosened_out_loud(self) -> "Guards":
        looser = [
            name
            for name, cap, default in (
                ("per_hour", self.per_hour, Cap(count=100, share=0.01)),
                ("per_day", self.per_day, Cap(count=500, share=0.05)),
            )
            if cap.count > default.count or cap.share > default.share
        ]
        if looser and not self.loosened_on_purpose:
            raise across(
                f"{' and '.join(looser)} above the default, which guards people against a mistake of ours; "
                "if that is meant, add loosened_on_purpose: true",
                "per_hour",
                "per_day",
                "loosened_on_purpose",
            )
        return self


class Web(Section):
    """The web process."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8080, ge=0, le=65535, description="port to listen on (0: any free one)")
    public_url: HttpAddress | None = Field(None, description="address vendors call us at; HubSpot signs it")
    status_password: SecretStr | None = Field(
        None,
        min_length=12,
        description="password of the status page; without one it is shown only while public_url is not public",
    )


class Config(Section):
    """The whole file."""

    store: StoreAddress = Field("sqlite:///leadbridge.db", description="sqlite:///FILE or postgresql://…", repr=False)
    connections: Connections = Field(description="the systems leadbridge runs beside")
    fields: dict[Name, FieldMapping] = Field(default={}, description="our name: where each CRM keeps it")
    write_back: dict[str, WriteBackTarget] = Field(default={}, description="our value: property to create and fill")
    personas: dict[Name, Persona] = Field(
        default={}, description="kinds of buyers; each person is taken for the nearest"
    )
    scores: dict[Name, ScoreModel] = Field(min_length=1, description="score by name; the first is the main one")
    stages: dict[LifecycleStage, StageRule] = Field(default={}, description="first match from the top")
    buyer_journey: dict[BuyerJourney, When] = Field(default={}, description="the furthest phase that holds")
    segments: dict[str, When] = Field(default={}, description="named conditions")
    nurture: Nurture = Field(Nurture(), description="who gets which journey")
    guards: Guards = Field(Guards(), description="caps on contact: beyond them people wait, nobody is mailed")
    web: Web = Field(Web(), description="the web process")


Outline: TypeAlias = Mapping[str, Iterable[str]]
"""Scores by name, each with the names of its categories."""


def attributes(fields: Mapping[str, str], personas: Iterable[str] = ()) -> dict[str, str]:
    """Every field a condition of a rule may look at, with its type: built-in and mapped ones, and personas."""
    near = {f"persona.{name}": "number" for name in personas}
    return {**BUILT_IN_FIELDS, **fields, **({"persona": "text"} if near else {}), **near}


def facts(fields: Mapping[str, str], scores: Outline, personas: Iterable[str] = ()) -> dict[str, str]:
    """Every field a condition outside rules may look at, with its type: attributes, scores, stage, segments."""
    found = attributes(fields, personas)
    for name, categories in scores.items():
        found[f"score.{name}"] = "number"
        found[f"grade.{name}"] = "text"
        found.update({f"score.{name}.{category}": "number" for category in categories})
    found.update(stage="text", buyer_journey="text", segment="text")
    return found


def values(scores: Outline, personas: Iterable[str] = ()) -> dict[str, str]:
    """Every name `write_back` may use, with the kind of property it fills ("number", "text", "choice")."""
    found = {"score": "number", "grade": "choice", "stage": "choice", "reasons": "text",
             "buyer_journey": "choice", "journey": "text"}  # fmt: skip
    for name, categories in scores.items():
        found |= {f"score.{name}": "number", f"grade.{name}": "choice", f"reasons.{name}": "text"}
        found.update({f"score.{name}.{category}": "number" for category in categories})
    found.update({f"score.{category}": "number" for category in next(iter(scores.values()), ())})
    if near := {f"persona.{name}": "number" for name in personas}:
        found |= {"persona": "choice", "persona_reasons": "text", **near}
    return found


def known_facts(config: Config) -> dict[str, str]:
    """`facts` of a configuration."""
    return facts({name: mapping.type for name, mapping in config.fields.items()}, _outline(config), config.personas)


def known_values(config: Config) -> dict[str, str]:
    """`values` of a configuration."""
    return values(_outline(config), config.personas)


def _outline(config: Config) -> Outline:
    return {name: model.categories for name, model in config.scores.items()}


def conditions_of(config: Config) -> Iterator[tuple[tuple[str | int, ...], Condition, bool]]:
    """(path in the file, condition, may look at scores and stage) for every condition on a person."""
    for name, persona in config.personas.items():
        for index, trait in enumerate(persona.traits):
            yield ("personas", name, "traits", index, "when"), trait.when, False
    for name, model in config.scores.items():
        if model.applies_to is not None:
            yield ("scores", name, "applies_to"), model.applies_to, False
        for index, rule in enumerate(model.rules):
            if rule.when is not None:
                yield ("scores", name, "rules", index, "when"), rule.when, False
    for stage, stage_rule in config.stages.items():
        yield ("stages", stage.value, "when"), stage_rule.when, True
        if stage_rule.until is not None:
            yield ("stages", stage.value, "until"), stage_rule.until, True
    for phase, when in config.buyer_journey.items():
        yield ("buyer_journey", phase.value), when, True
    for segment, when in config.segments.items():
        yield ("segments", segment), when, True
    for index, journey in enumerate(config.nurture.journeys):
        yield ("nurture", "journeys", index, "when"), journey.when, True


__all__ = ["Config", "conditions_of", "fields_of", "known_facts", "known_values"]

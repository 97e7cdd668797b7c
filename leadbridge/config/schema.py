"""Every key a user may write in `leadbridge.yaml`: type, default, one-line help.

Pydantic checks shapes here; what needs the whole file (a rule naming an unknown field, two rules of one name) is
checked in `check_whole`, so that every fault is reported in one go.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from leadbridge.config.conditions import Condition, Duration, When, fields_of
from leadbridge.types import ActivityKind, BuyerJourney, LifecycleStage

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


class Section(BaseModel):
    """A part of the file: unknown keys are faults, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _share(text: Any) -> float:
    if isinstance(text, float) and 0 <= text < 1:  # already read
        return text
    if isinstance(text, str) and text.strip().endswith("%"):
        try:
            share = float(text.strip()[:-1]) / 100
        except ValueError:
            raise ValueError(f"{text!r} is not a share; write 10%") from None
        if 0 <= share <= 1:
            return share
    raise ValueError(f"{text!r} is not a share; write a percentage from 0% to 100%")


Share: TypeAlias = Annotated[float, BeforeValidator(_share)]
"""A share of a whole, 0..1, written "10%"."""


def _http_address(text: str) -> str:
    if not text.startswith(("https://", "http://127.0.0.1", "http://localhost", "http://[::1]")):
        raise ValueError("must begin with https:// (plain http only on this machine)")
    return text.rstrip("/")


HttpAddress: TypeAlias = Annotated[str, AfterValidator(_http_address)]


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


class MailchimpConnection(Section):
    """Mailchimp: key and audience."""

    api_key: SecretStr = Field(description="API key, ends in -usNN")
    audience: str = Field(min_length=1, description="audience (list) id")
    base_url: HttpAddress | None = Field(None, description="where the API is; default: from the key's ending")
    webhook_secret: SecretStr | None = Field(None, description="random part of our webhook's path")
    simultaneous: int = Field(4, ge=1, le=9, description="calls in flight at once (Mailchimp: 10 for all your apps)")
    lookback: Duration = Field(DAY, description="overlap of two engagement pulls: reports trail")
    history: Duration = Field(30 * DAY, description="how far back campaigns are followed")
    activities: list[Literal["campaigns"]] = Field(default=["campaigns"], description="sources of activity to read")


class Connections(Section):
    """The systems leadbridge runs beside."""

    hubspot: HubSpotConnection | None = None
    mailchimp: MailchimpConnection | None = None


# --- fields and write-back -----------------------------------------------------------------------------------------


class FieldMapping(Section):
    """One field of ours: where each CRM keeps it."""

    hubspot: str | None = Field(None, description="contact property, or company.PROPERTY of the primary company")
    type: FieldType = Field("text", description="what the value is")
    empty: list[str] = Field(default=[], description='values that mean "not known", such as Select')

    @model_validator(mode="after")
    def _somewhere(self) -> "FieldMapping":
        if self.hubspot is None:
            raise ValueError("says nowhere where to read it; add hubspot: PROPERTY")
        return self


class WriteBackTarget(Section):
    """One value of ours: the property (HubSpot) and merge field (Mailchimp) to create and fill."""

    hubspot: str | None = Field(None, pattern=r"^[a-z][a-z0-9_]{0,99}$", description="contact property")
    mailchimp: str | None = Field(None, pattern=r"^[A-Z0-9_]{1,10}$", description="merge field tag, at most 10 letters")


# --- scores --------------------------------------------------------------------------------------------------------


class Category(Section):
    """A part of a score, with its bounds."""

    min: float = Field(0, description="never below this (negative: a category may take points away)")
    max: float = Field(100, description="never above this")

    @model_validator(mode="after")
    def _in_order(self) -> "Category":
        if self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self


def _one_or_many(raw: Any) -> Any:
    return [raw] if isinstance(raw, str) else raw


class Rule(Section):
    """One reason for points: an attribute rule (`when`), an activity rule (`activity`), or silence."""

    name: str = Field(min_length=1, max_length=80, description="shown to sales as the reason")
    category: str = Field(description="the part of the score it counts for")
    points: float = Field(description="points given; negative takes away", ge=-1000, le=1000)
    when: When | None = Field(None, description="condition on the person; with an activity: on both")
    activity: Annotated[list[ActivityKind], BeforeValidator(_one_or_many)] | None = Field(
        None, description="kind of activity, or a list of kinds"
    )
    where: When | None = Field(None, description="condition on the activity's own values, such as url")
    within: Duration | None = Field(None, description="only activity younger than this")
    half_life: Duration | None = Field(None, description="an activity this old counts half")
    at_most: int | None = Field(None, ge=1, description="count the newest n only")
    at_least: int | None = Field(None, ge=1, description="threshold: points once, from n activities on")
    cap: float | None = Field(None, gt=0, description="bound of this rule's points, in size")
    each: str | None = Field(None, description="numeric value of the activity that multiplies the points")
    no_activity_for: Duration | None = Field(None, description="points when silent for this long")
    exclusive: str | None = Field(None, description="of the rules with this word, only the largest counts")

    @model_validator(mode="after")
    def _one_sort(self) -> "Rule":
        if self.no_activity_for is None and self.activity is None and self.when is None:
            raise ValueError("needs one of: when (attribute rule), activity, no_activity_for")
        if self.activity is None:
            given = [
                k
                for k in ("where", "within", "half_life", "at_most", "at_least", "cap", "each")
                if getattr(self, k) is not None
            ]
            if given:
                raise ValueError(f"{', '.join(given)} needs activity: KIND")
        if self.at_least is not None and (self.each is not None or self.half_life is not None):
            raise ValueError("at_least gives its points once, so it goes with neither each nor half_life")
        return self


class ScoreModel(Section):
    """One score: categories, rules, grades."""

    applies_to: When | None = Field(None, description="who has this score; default: everyone")
    categories: dict[str, Category] = Field(min_length=1)
    rules: list[Rule] = Field(min_length=1)
    grades: dict[str, float] = Field(default={}, description="letter: points of the grade category it begins at")
    grade_from: str = Field("fit", description="the category that grades are read from")

    @model_validator(mode="after")
    def _grades_from_somewhere(self) -> "ScoreModel":
        if self.grades and self.grade_from not in self.categories:
            raise ValueError(f"grades are read from category {self.grade_from!r}, which is not there; set grade_from")
        return self


class StageRule(Section):
    """When a person enters a stage, and below what they leave it again."""

    when: When
    until: When | None = Field(None, description="leave when this holds; default: when `when` no longer does")


# --- nurture -------------------------------------------------------------------------------------------------------


class MailchimpTrigger(Section):
    """How a journey is started: a tag (repeatable, preferred) or its Customer Journeys API address."""

    tag: str | None = Field(None, min_length=1, max_length=100, description="tag that starts it")
    trigger: str | None = Field(
        None, pattern=r"journeys/\d+/steps/\d+", description="address shown by the journey builder"
    )

    @model_validator(mode="after")
    def _one_way(self) -> "MailchimpTrigger":
        if (self.tag is None) == (self.trigger is None):
            raise ValueError("needs exactly one of tag and trigger")
        return self


class Journey(Section):
    """One nurture journey, in order of preference."""

    name: str = Field(min_length=1, max_length=100)
    mailchimp: MailchimpTrigger
    when: When
    re_enter_after: Duration | None = Field(None, description="may be entered again after this long; default: never")
    holdout: Share = Field(0.0, description="share kept out, to measure what the journey does")


class Pressure(Section):
    """How much a person is written to."""

    quiet_after_enrolment: Duration = Field(7 * DAY, description="no second journey this soon after one")


class Nurture(Section):
    """Who gets which journey: the first whose `when` holds."""

    enabled: bool = Field(True, description="false: score only, enrol nobody")
    journeys: list[Journey] = Field(default=[])
    pressure: Pressure = Pressure()


class Cap(Section):
    """The larger of a count and a share of the audience."""

    count: int = Field(ge=0)
    share: Share

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

    per_hour: Cap = Cap(count=100, share=0.01)
    per_day: Cap = Cap(count=500, share=0.05)
    intents_expire_after: Duration = Field(DAY, description="an enrolment not made by then is dropped")


class Web(Section):
    """The web process."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8080, ge=0, le=65535, description="port to listen on (0: any free one)")
    public_url: HttpAddress | None = Field(None, description="address vendors call us at; HubSpot signs it")


class Config(Section):
    """The whole file."""

    store: str = Field("sqlite:///leadbridge.db", description="sqlite:///FILE or postgresql://…")
    connections: Connections
    fields: dict[str, FieldMapping] = Field(default={}, description="our name: where each CRM keeps it")
    write_back: dict[str, WriteBackTarget] = Field(default={}, description="our value: property to create and fill")
    scores: dict[str, ScoreModel] = Field(min_length=1)
    stages: dict[LifecycleStage, StageRule] = Field(default={}, description="first match from the top")
    buyer_journey: dict[BuyerJourney, When] = Field(default={}, description="first match from the bottom up")
    segments: dict[str, When] = Field(default={}, description="named conditions")
    nurture: Nurture = Nurture()
    guards: Guards = Guards()
    web: Web = Web()


def known_facts(config: Config) -> dict[str, str]:
    """Every field a condition outside rules may look at, with its type: attributes, scores, stage, segments."""
    facts: dict[str, str] = {**BUILT_IN_FIELDS, **{name: mapping.type for name, mapping in config.fields.items()}}
    for name, model in config.scores.items():
        facts[f"score.{name}"] = "number"
        facts[f"grade.{name}"] = "text"
        facts.update({f"score.{name}.{category}": "number" for category in model.categories})
    facts.update(stage="text", buyer_journey="text", segment="text")
    return facts


def known_values(config: Config) -> dict[str, str]:
    """Every name `write_back` may use, with the kind of property it fills ("number", "text", "choice")."""
    first = next(iter(config.scores))
    values = {"score": "number", "grade": "choice", "stage": "choice", "reasons": "text",
              "buyer_journey": "choice", "journey": "text"}  # fmt: skip
    for name, model in config.scores.items():
        values |= {f"score.{name}": "number", f"grade.{name}": "choice", f"reasons.{name}": "text"}
        values.update({f"score.{name}.{category}": "number" for category in model.categories})
    values.update({f"score.{category}": "number" for category in config.scores[first].categories})
    return values


def conditions_of(config: Config) -> Iterator[tuple[tuple[str | int, ...], Condition, bool]]:
    """(path in the file, condition, may look at scores and stage) for every condition on a person."""
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

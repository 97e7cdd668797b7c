"""The part of the file that says what success is, what it costs, and how the funnel is drawn."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from leadbridge.config.behaviour import Counted
from leadbridge.config.conditions import Duration
from leadbridge.config.kinds import DAY, Section, Shape, Share, across
from leadbridge.types import LifecycleStage

Day = Annotated[str, Shape(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])", "is not a day; write it as 2026-03-31")]

S = LifecycleStage


class FunnelStage(Section):
    """One part of the funnel."""

    name: str = Field(min_length=1, max_length=60, description="name in reports")
    stages: list[LifecycleStage] = Field(min_length=1, description="lifecycle stages it is made of")


class Goal(Section):
    """What a journey is to bring about."""

    reaches: LifecycleStage | None = Field(None, description="success: this stage, or a later one, is reached")
    activity: Literal["purchase", "meeting", "form_submitted", "product_used"] | None = Field(
        None, description="success: the person does this"
    )
    within: Duration = Field(90 * DAY, description="so long after the decision to enrol, or to keep out")

    @model_validator(mode="after")
    def _one(self) -> "Goal":
        if (self.reaches is None) == (self.activity is None):
            raise across("needs exactly one of reaches and activity", "reaches", "activity")
        return self


class Cost(Section):
    """Money spent: so much a month, or once."""

    name: str = Field(min_length=1, max_length=60, description="what it was spent on")
    per_month: float | None = Field(None, ge=0, description="so much a month")
    once: float | None = Field(None, ge=0, description="so much, on the first day")
    since: Day = Field(description="first day")
    until: Day | None = Field(None, description="last day; default: still running")
    journey: str | None = Field(None, min_length=1, description="journey it belongs to; default: all of it together")

    @model_validator(mode="after")
    def _one(self) -> "Cost":
        if (self.per_month is None) == (self.once is None):
            raise across("needs exactly one of per_month and once", "per_month", "once")
        if self.until is not None and self.until < self.since:
            raise across("until is before since", "until", "since")
        return self


FUNNEL = (
    FunnelStage(name="discovery", stages=[S.SUBSCRIBER, S.LEAD]),
    FunnelStage(name="consideration", stages=[S.MQL]),
    FunnelStage(name="decision", stages=[S.SQL, S.OPPORTUNITY]),
    FunnelStage(name="after the purchase", stages=[S.CUSTOMER, S.EVANGELIST]),
)


class Answering(Section):
    """What people ask and how they are answered, for the report of who waits for an answer."""

    asked: list[Counted] = Field(
        default=[
            Counted.model_validate({"of": ["form_submitted", "chat"]}),
            Counted.model_validate({"of": "other", "where": {"event": "email_received"}}),
        ],
        min_length=1,
        description="activities that ask for an answer; leave a form for a newsletter out with `where`",
    )
    answered: list[Counted] = Field(
        default=[
            Counted.model_validate({"of": ["call", "meeting"]}),
            Counted.model_validate({"of": "email_sent", "where": {"sales": True}}),
        ],
        min_length=1,
        description="activities that answer; mailings are none",
    )
    within: Duration = Field(DAY, description="a later answer is too late")


class Measurement(Section):
    """How success is measured."""

    goal: Goal = Field(Goal(reaches=S.CUSTOMER), description="what counts as success")
    confidence: Share = Field(0.95, description="how sure an interval is to hold the truth")
    funnel: list[FunnelStage] = Field(default=list(FUNNEL), description="parts of the funnel, from the first on")
    amount: str = Field("amount", description="value of a purchase activity that holds the money")
    costs: list[Cost] = Field(default=[], description="what was spent")
    answering: Answering = Field(Answering(), description="what is a question, and what an answer")

    @model_validator(mode="after")
    def _each_stage_once(self) -> "Measurement":
        named = [stage for part in self.funnel for stage in part.stages]
        ranks = [stage.rank for stage in named]
        if len(self.funnel) < 2 or ranks != sorted(set(ranks)):
            raise across("needs two parts or more, the lifecycle stages in their order and each once", "funnel")
        return self

"""The part of the file about events from everything that speaks the Segment HTTP tracking API (docs/intake.md)."""

from pydantic import Field, SecretStr, model_validator

from leadbridge.config.kinds import Section, across
from leadbridge.types import ActivityKind


class Intake(Section):
    """Web analytics, product events, social and survey tools: their key, and what their words mean."""

    write_key: SecretStr = Field(min_length=16, description="the key senders give as user name; make it random")
    write_key_previous: SecretStr | None = Field(
        None, min_length=16, description="the old key, valid too while you rotate"
    )
    events: dict[str, ActivityKind] = Field(
        default={}, description="kind of activity by name of event, beside and before the built-in table"
    )
    ignore: list[str] = Field(default=[], description="names of events that are no activity")
    keep: list[str] = Field(
        default=[], description="further properties of events to keep; what is not named anywhere is not stored"
    )
    consent: list[str] = Field(
        default=[],
        description="consent categories; an event sent without consent to one of them is not counted",
    )

    @model_validator(mode="after")
    def _one_meaning(self) -> "Intake":
        both = sorted(set(self.events) & set(self.ignore))
        if both:
            raise across(f"{both[0]!r} has a kind and is ignored too; keep one", "events", "ignore")
        return self

"""The part of the file that says who is contacted, how, and how often at most."""

from typing import Any, ClassVar

from pydantic import Field, model_validator

from leadbridge.config.conditions import Duration, When
from leadbridge.config.kinds import (
    DAY,
    FieldStart,
    Section,
    Share,
    TriggerAddress,
    across,
)


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

"""The part of the file that keeps contact within bounds, whatever a rule, a model or an import may do (G23, G24)."""

from collections.abc import Callable
from typing import Annotated, Any, ClassVar
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, model_validator

from leadbridge.config.conditions import Duration
from leadbridge.config.kinds import DAY, Name, OneOrMany, Section, Shape, Share, across

ClockTime = Annotated[str, Shape(r"([01]\d|2[0-3]):[0-5]\d", "is not a time of day; write it as 21:00")]


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("is not a time zone; write its name as in the IANA list, such as Europe/Madrid")
    return name


Zone = Annotated[str, AfterValidator(_zone)]


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


class QuietHours(Section):
    """When nobody is put into a journey, by the clock where the person lives."""

    from_: ClockTime = Field(alias="from", description="quiet from this time of day")
    to: ClockTime = Field(description="until this one; earlier than `from`: over midnight")
    timezone: Name | None = Field(None, description="field that holds a person's time zone")
    country: Name | None = Field(None, description="field that holds a person's country; of several zones, all count")
    elsewhere: Annotated[list[Zone], OneOrMany()] = Field(
        min_length=1, description="zones people of unknown place may live in: it must be day in all of them"
    )

    @model_validator(mode="after")
    def _some_time(self) -> "QuietHours":
        if self.from_ == self.to:
            raise across("from and to are the same time; leave quiet_hours out to have none", "from", "to")
        return self


class Canary(Section):
    """How a changed model, rule, threshold or journey begins: with few people, until somebody has looked."""

    people: Cap = Field(Cap(count=20, share=0.01), description="contacts until released: [count, share], the larger")
    lasts: Duration = Field(DAY, description="released by itself after so long")


class Guards(Section):
    """Bounds of contact: beyond them people wait, nobody is mailed. To loosen one needs loosened_on_purpose too."""

    per_hour: Cap = Field(Cap(count=100, share=0.01), description="enrolments in any hour: [count, share], the larger")
    per_day: Cap = Field(Cap(count=500, share=0.05), description="enrolments in any day: [count, share], the larger")
    surge: float = Field(
        3, gt=0, description="enrolments in any day: at most so many times the usual, once there is one"
    )
    canary: Canary = Field(Canary(), description="how a changed model, rule, threshold or journey begins")
    all_alike_from: int = Field(
        100, ge=2, description="from so many people on, scores that are all the same contact nobody"
    )
    quiet_hours: QuietHours | None = Field(None, description="when nobody is put into a journey; default: never quiet")
    intents_expire_after: Duration = Field(DAY, description="an enrolment not made by then is dropped")
    loosened_on_purpose: bool = Field(False, description="true: I know that my bounds are looser than the defaults")

    @model_validator(mode="after")
    def _loosened_out_loud(self) -> "Guards":
        looser = [name for name in LOOSER if LOOSER[name](self)]
        if looser and not self.loosened_on_purpose:
            raise across(
                f"{' and '.join(looser)} looser than the default, which guards people against a mistake of ours; "
                "if that is meant, add loosened_on_purpose: true",
                *looser,
                "loosened_on_purpose",
            )
        return self


def _above(cap: Cap, default: Cap) -> bool:
    return cap.count > default.count or cap.share > default.share


LOOSER: dict[str, Callable[[Guards], bool]] = {
    "per_hour": lambda given: _above(given.per_hour, Cap(count=100, share=0.01)),
    "per_day": lambda given: _above(given.per_day, Cap(count=500, share=0.05)),
    "surge": lambda given: given.surge > 3,
    "canary": lambda given: _above(given.canary.people, Canary().people) or given.canary.lasts < DAY,
    "all_alike_from": lambda given: given.all_alike_from > 100,
    "intents_expire_after": lambda given: given.intents_expire_after > DAY,
}
"""For each guard: is it looser than the default?"""

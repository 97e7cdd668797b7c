"""The part of the file that lists what there is to offer: guides, demos, coupons, and whom each is for."""

from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from leadbridge.config.conditions import When
from leadbridge.config.kinds import HttpAddress, Section, Shape, across
from leadbridge.types import BuyerJourney

AssetType = Literal[
    "email", "ebook", "white_paper", "guide", "case_study", "comparison", "faq", "video", "template", "coupon", "offer",
    "gift", "demo_online", "demo_onsite", "webinar", "event",
]  # fmt: skip

ONCE = frozenset({"coupon", "offer", "gift"})
"""Types that a person is given once for ever, by whichever journey; what else one offered, it may repeat."""


def _real_day(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError:
        raise ValueError("is no day of the calendar") from None
    return text


Day = Annotated[str, Shape(r"\d{4}-\d\d-\d\d", "is not a day; write it as 2026-12-31"), AfterValidator(_real_day)]


class Asset(Section):
    """One thing to offer. Nothing is offered to one person twice, whichever journey does it."""

    title: str = Field(min_length=1, max_length=200, description="as people read it")
    type: AssetType = Field(description="what it is")
    phase: BuyerJourney | None = Field(None, description="phase of the buyer's journey it is for; default: any")
    topic: str = Field("", max_length=100, description="what it is about")
    product: str = Field("", max_length=100, description="product it belongs to")
    personas: list[str] = Field(default=[], description="personas it is for; default: any")
    when: When | None = Field(None, description="whom else it is for, such as a need they named; default: everybody")
    url: HttpAddress | None = Field(None, description="where it is; who goes there has taken it up")
    code: str = Field("", max_length=100, description="of a coupon or offer: what the person enters")
    expires: Day | None = Field(None, description="last day on which it is offered, such as 2026-12-31")

    teaches: bool = Field(
        False, description="true: part of the field `education`, the share of such assets a person took up (0 to 100)"
    )

    @model_validator(mode="after")
    def _code_of_something(self) -> "Asset":
        if self.code and self.type not in ONCE:
            raise across("only a coupon, an offer or a gift has a code", "code", "type")
        return self

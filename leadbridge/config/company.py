"""The part of the file that says whose scores count together: the people of one company."""

from typing import Literal

from pydantic import Field

from leadbridge.config.conditions import Duration, When
from leadbridge.config.kinds import Name, Section


class Company(Section):
    """Which company a person belongs to, and what of its people's scores is taken together.

    `company.NAME` is then a number for the rules of other scores, and for conditions: the best of the score NAME among
    the people of the company, or their sum.
    """

    by: str = Field(min_length=1, description="field that is the same for all people of a company, such as its id")
    where: When | None = Field(None, description="who belongs to a company at all; default: whoever has the field")
    scores: dict[Name, Literal["best", "sum"]] = Field(
        min_length=1, description="score of people: best or sum of it over the company"
    )
    settle: Duration = Field(
        600, description="colleagues of somebody whose score moved are looked at this much later, all changes together"
    )

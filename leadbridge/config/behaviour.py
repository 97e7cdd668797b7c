"""The part of the file that turns what people did into fields: how often, how much, since when."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from leadbridge.config.conditions import Duration, When
from leadbridge.config.kinds import OneOrMany, Section, across
from leadbridge.types import ActivityKind

Take: TypeAlias = Literal[
    "count", "sum", "average", "largest", "smallest", "latest", "distinct", "most", "first_at", "last_at"
]

OF_VALUE = ("sum", "average", "largest", "smallest", "latest", "distinct", "most")
"""What is taken of a value of the activity, rather than of the activity itself."""

TYPES = {"most": "text", "first_at": "datetime", "last_at": "datetime"}
"""What each is, where it is not a number."""


class Counted(Section):
    """Some of what a person did."""

    of: Annotated[list[ActivityKind], OneOrMany()] = Field(min_length=1, description="kind of activity, or a list")
    where: When | None = Field(None, description="condition on the activity's own values, such as url")
    within: Duration | None = Field(None, description="only activity younger than this; default: all there is")


class Behaviour(Counted):
    """One field worked out from what a person did, for conditions everywhere.

    Who did nothing of it has a count, sum and number of distinct values of 0; everything else of them is unknown, a
    share of nothing included.
    """

    take: Take = Field("count", description="what to work out")
    value: str | None = Field(
        None, min_length=1, description="the activity's own value it is taken of, such as amount; not for a count"
    )
    per: Counted | None = Field(None, description="divide the count by the count of these: a rate, 0.25 for a quarter")
    without: Counted | None = Field(
        None, description="of distinct values, leave out those that these have too: tickets opened and not closed"
    )

    @model_validator(mode="after")
    def _of_something(self) -> "Behaviour":
        if self.take in OF_VALUE and self.value is None:
            raise across(f"take: {self.take} needs value: the activity's own value to take it of", "take", "value")
        if self.take not in OF_VALUE and self.value is not None:
            raise across(f"value means nothing to take: {self.take}; remove it", "take", "value")
        if self.per is not None and self.take != "count":
            raise across(f"per divides a count, so it does not go with take: {self.take}", "take", "per")
        if self.without is not None and self.take != "distinct":
            raise across(
                f"without leaves out distinct values, so it does not go with take: {self.take}", "take", "without"
            )
        return self

    @property
    def type(self) -> str:
        """Type of the field: "number", "text" or "datetime"."""
        return TYPES.get(self.take, "number")

"""The part of the file that says what sales wants to know of a person, such as budget, authority, need and timeline."""

from collections.abc import Iterable

from pydantic import Field, model_validator

from leadbridge.config.conditions import Duration, When
from leadbridge.config.kinds import Name, Section, across

STATES = ("unknown", "met", "not_met")
"""What can be said of a question: nobody knows, the answer is good enough, it is not."""


class Question(Section):
    """One thing to know of a person."""

    ask: str = Field(min_length=1, max_length=200, description="the question, as sales would put it")
    field: Name = Field(description="the field that holds the answer")
    enough: When | None = Field(None, description="when the answer is good enough; default: any answer is")
    weight: float = Field(1, gt=0, le=1000, description="how much it counts for completeness; heavier is asked first")
    source: Name | None = Field(None, description="field that says where the answer comes from, such as a form")
    dated: Name | None = Field(None, description="date field that says when it was given")
    good_for: Duration | None = Field(None, description="an answer older than this counts as unknown; needs dated")

    @model_validator(mode="after")
    def _age_of_something(self) -> "Question":
        if self.good_for is not None and self.dated is None:
            raise across("good_for needs dated: the field that says when the answer was given", "good_for", "dated")
        return self


def question_facts(questions: Iterable[str]) -> dict[str, str]:
    """Facts that questions give to rules and conditions, with their types."""
    found = {f"known.{name}": "text" for name in questions}
    return {**found, "completeness": "number"} if found else {}

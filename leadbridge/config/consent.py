"""The part of the file that says how a person's consent and objection are read off the CRM."""

from pydantic import Field, model_validator

from leadbridge.config.conditions import When
from leadbridge.config.kinds import Name, Section, across


class Consent(Section):
    """Who has agreed to marketing mail, as the CRM tells it; and who objects to being profiled."""

    given: When | None = Field(None, description="who has agreed to marketing mail")
    at: Name | None = Field(None, description="field that holds when; without a date there is no consent")
    source: str = Field("", max_length=500, description="where it is given, in words")
    source_field: Name | None = Field(None, description="field that says where, for each person; goes before source")
    wording: str = Field("", max_length=2000, description="the words that people agree to")
    wording_field: Name | None = Field(None, description="field that holds the words; goes before wording")
    add_members: bool = Field(
        False, description="true: whoever agreed and is not in the audience yet is added when a journey fits"
    )
    objection: When | None = Field(
        None, description="who objects to profiling: not scored, not ranked, still served where no score is asked for"
    )

    @model_validator(mode="after")
    def _whole(self) -> "Consent":
        if self.given is not None:
            if self.at is None:
                raise across("needs `at`: the field that holds when it was given", "given", "at")
            if not (self.source or self.source_field) or not (self.wording or self.wording_field):
                raise across(
                    "needs source and wording (or the fields that hold them): a consent nobody can show is none",
                    "given", "source", "source_field", "wording", "wording_field",
                )  # fmt: skip
        elif self.add_members:
            raise across("needs `given`: nobody is added without recorded consent", "add_members", "given")
        return self

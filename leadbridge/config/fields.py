"""The part of the file that maps fields: where each system keeps ours, and where it shows what we work out."""

from typing import Literal, TypeAlias

from pydantic import Field, model_validator

from leadbridge.config.kinds import (
    HubSpotSource,
    HubSpotTarget,
    MergeField,
    Name,
    SalesforceSource,
    SalesforceTarget,
    Section,
    Tag,
    Trait,
    across,
)

FieldType: TypeAlias = Literal["text", "integer", "number", "boolean", "date", "datetime"]


class FieldMapping(Section):
    """One field of ours: where each CRM keeps it."""

    hubspot: HubSpotSource | None = Field(
        None, description="contact property, or company.PROPERTY of the primary company"
    )
    salesforce: SalesforceSource | None = Field(
        None, description="field of leads and contacts, or OBJECT.FIELD; | between places to look one after another"
    )
    intake: Trait | None = Field(
        None, description="trait of identify calls, company.TRAIT of group calls; what a CRM knows goes first"
    )
    plugins: dict[Name, str] = Field(default={}, description="by the name of a plugin: where it keeps it")
    type: FieldType = Field("text", description="what the value is")
    empty: list[str] = Field(default=[], description='values that mean "not known", such as Select')

    @model_validator(mode="after")
    def _somewhere(self) -> "FieldMapping":
        if self.hubspot is None and self.salesforce is None and self.intake is None and not self.plugins:
            raise across(
                "does not say where to read it; add hubspot: PROPERTY or salesforce: FIELD",
                "hubspot",
                "salesforce",
                "intake",
                "plugins",
            )
        return self


class WriteBackTarget(Section):
    """One value of ours: the property (HubSpot), field (Salesforce) and merge field (Mailchimp) to create and fill."""

    hubspot: HubSpotTarget | None = Field(None, description="contact property")
    salesforce: SalesforceTarget | None = Field(None, description="custom field, kept on leads and contacts alike")
    mailchimp: MergeField | None = Field(None, description="merge field tag, at most 10 letters")
    fallback: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="what the merge field says of whom we have no value; a CRM stays empty",
    )
    tags: dict[str, Tag] = Field(
        default={}, description="of segments only: the Mailchimp tag that whoever is in the segment bears"
    )
    plugins: dict[Name, str] = Field(default={}, description="by the name of a plugin: the property it fills")

    @model_validator(mode="after")
    def _somewhere(self) -> "WriteBackTarget":
        if self.fallback is not None and self.mailchimp is None:
            raise across("is what a merge field says, and there is none; add mailchimp: FIELD", "fallback")
        places = (self.hubspot, self.salesforce, self.mailchimp)
        if places == (None, None, None) and not self.plugins and not self.tags:
            raise across(
                "does not say where to write it; add hubspot: PROPERTY or salesforce: FIELD",
                "hubspot",
                "salesforce",
                "mailchimp",
                "plugins",
            )
        return self

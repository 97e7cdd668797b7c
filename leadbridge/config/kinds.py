"""The kinds of value that keys of the file hold: how each looks, and the words for it when it does not."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SecretStr,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

DAY = 86400.0
"""Seconds."""


class Section(BaseModel):
    """A part of the file: unknown keys are faults, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)

    short_form: ClassVar[tuple[str, ...]] = ()
    """Keys whose values may be written as a bare list instead."""


def across(problem: str, *keys: str) -> PydanticCustomError:
    """A fault between several keys of one section. Not reported while one of them is at fault itself."""
    return PydanticCustomError("across", "{problem}", {"problem": problem, "keys": keys})


@dataclass(frozen=True, slots=True)
class FromEnvironment:
    """Mark of a text in which `${NAME}` stands for a variable of the environment (secrets have this anyway)."""


@dataclass(frozen=True, slots=True)
class OneOrMany:
    """Mark of a list that may be written as its only item."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(
            lambda raw: [raw] if isinstance(raw, str) else raw, handler(source)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        many = handler(schema)
        return {"anyOf": [many["items"], many]}


@dataclass(frozen=True, slots=True)
class Shape:
    """Text of a certain look; `words` say which."""

    pattern: str
    words: str

    def check(self, text: str) -> str:
        if not re.fullmatch(self.pattern, text):
            raise ValueError(self.words)
        return text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "pattern": f"^({self.pattern})$"}


Name: TypeAlias = Annotated[
    str, Shape("[a-z][a-z0-9_]{0,59}", "is not a name; use lower-case letters, digits and _, beginning with a letter")
]
"""Our own word for something, used in conditions."""

Figure: TypeAlias = Annotated[str, Shape("[1-9]", "is not a figure; write one from 1 to 9")]

HubSpotSource: TypeAlias = Annotated[
    str,
    Shape(
        r"(company\.)?[a-z0-9_]{1,100}",
        "is not a HubSpot property; write its internal name (lower-case letters, digits and _), "
        "with company. in front for a property of the primary company",
    ),
]
HubSpotTarget: TypeAlias = Annotated[
    str,
    Shape(
        r"[a-z][a-z0-9_]{0,99}",
        "is not a name HubSpot takes; use lower-case letters, digits and _, beginning with a letter, "
        "such as leadbridge_score",
    ),
]
"""Vendor page, section 8.1."""

_FIELD = r"[A-Za-z][A-Za-z0-9_]{0,79}"
_SALESFORCE_PLACE = rf"((Lead|Contact|Account|Opportunity|Owner|Individual)\.)?{_FIELD}"
SalesforceSource: TypeAlias = Annotated[
    str,
    Shape(
        rf"{_SALESFORCE_PLACE}(\s*\|\s*{_SALESFORCE_PLACE})*",
        "is not a Salesforce field; write its API name (Title: on leads and contacts), with Lead. Contact. Account. "
        "Opportunity. Owner. or Individual. in front where it is kept there, and | between places to look one after "
        "another: Lead.NumberOfEmployees | Account.NumberOfEmployees",
    ),
]
SalesforceTarget: TypeAlias = Annotated[
    str,
    Shape(
        r"(?=.{4,43}$)[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*__c",
        "is not a custom field's API name; use at most 40 letters, digits and single _, beginning with a letter, "
        "and __c at the end, such as Leadbridge_Score__c (it is kept on leads and contacts alike)",
    ),
]
"""Vendor page, section 5.1. One name for both objects, or the field could not be mapped on conversion (2.3)."""

Trait: TypeAlias = Annotated[
    str,
    Shape(r"[A-Za-z_][\w -]{0,99}(\.[A-Za-z_][\w -]{0,99}){0,4}", "is not a trait; write its name, such as jobTitle"),
]

MyDomain: TypeAlias = Annotated[
    str,
    Shape(
        r"[a-z0-9][a-z0-9-]{0,60}(\.(sandbox|develop|scratch|demo|trailblaze|patch|stage|free))?\.my",
        "is not a My Domain; write what stands before .salesforce.com in the address of your org, such as acme.my or "
        "acme--dev.sandbox.my (not login, test or lightning)",
    ),
]
"""Vendor page, sections 1.1 and 1.4: login. and test. refuse client credentials, lightning. answers 401."""

MergeField: TypeAlias = Annotated[
    str,
    Shape(
        r"[A-Z][A-Z0-9_]{0,9}", "is not a merge field; use at most 10 capital letters, digits and _, such as LBSCORE"
    ),
]
Tag: TypeAlias = Annotated[str, Shape(r"\S(.{0,98}\S)?", "is not a tag; use 1 to 100 characters")]
FieldStart: TypeAlias = Annotated[
    str,
    Shape(
        r"[A-Z][A-Z0-9_]{0,9}=[^=\s][^=]{0,99}",
        "does not say field and value; write the merge field and the value the journey waits for: LBNEXT=guides",
    ),
]
"""The starting point "audience field changes to a value" (vendor page, section 9)."""

TriggerAddress: TypeAlias = Annotated[
    str,
    Shape(
        r"(https://[^\s?#@]*)?/?(customer-journeys/)?journeys/\d+/steps/\d+(/actions/trigger)?",
        "is not the address of a journey's API trigger; copy it from the journey builder: "
        "https://…/journeys/12/steps/34/actions/trigger",
    ),
]


def _share(raw: Any) -> float:
    if isinstance(raw, float) and 0 <= raw <= 1:  # already read
        return raw
    if isinstance(raw, str) and re.fullmatch(r"\d{1,3}(\.\d{1,6})?%", raw.strip()):
        share = float(raw.strip()[:-1]) / 100
        if share <= 1:
            return share
    raise ValueError("is not a share; write a percentage from 0% to 100%, such as 10%")


Share: TypeAlias = Annotated[
    float,
    BeforeValidator(_share),
    WithJsonSchema({"type": "string", "pattern": r"^\d{1,3}(\.\d{1,6})?%$", "examples": ["10%"]}),
]
"""A share of a whole, 0..1, written "10%"."""


def _http_address(text: str) -> str:
    """Never shown in an error: it may come from the environment."""
    found = re.fullmatch(r"(https?)://([^/?#\s]+)[^?#\s]*", text)
    if not found:
        raise ValueError("is not an address; write https://host, with a path if there is one, and without ? and #")
    scheme, host = found.groups()
    if "@" in host:
        raise ValueError("must not hold a user name or password")
    if scheme == "http" and not re.fullmatch(r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?", host):
        raise ValueError("must begin with https:// (plain http only on this machine)")
    return text.rstrip("/")


HttpAddress: TypeAlias = Annotated[str, FromEnvironment(), AfterValidator(_http_address)]


def _path_secret(secret: SecretStr) -> SecretStr:
    # 128 random bits are 22 letters of base64 (reliability G4), and nothing in them needs escaping in a path.
    if not re.fullmatch(r"[A-Za-z0-9_~.-]{22,200}", secret.get_secret_value()):
        raise ValueError(
            "must be at least 22 letters, digits, - or _ chosen at random, since it is what keeps strangers out; "
            'make one with: python -c "import secrets; print(secrets.token_urlsafe(32))"'
        )
    return secret


PathSecret: TypeAlias = Annotated[SecretStr, AfterValidator(_path_secret)]


def _store_address(text: str) -> str:
    """Never shown in an error: it may hold a password."""
    if not re.match(r"(sqlite|postgresql)(\+\w+)?://", text):
        raise ValueError("must be sqlite:///FILE or postgresql://USER:${PASSWORD}@HOST/DATABASE")
    if re.match(r"sqlite(\+\w+)?://[^/]", text):
        raise ValueError("names no file: three slashes stand before its name, as in sqlite:///leadbridge.db")
    return text


StoreAddress: TypeAlias = Annotated[str, FromEnvironment(), AfterValidator(_store_address)]

"""Every key a user may write in `leadbridge.yaml`: type, default, one-line help.

Pydantic checks shapes here, one section at a time; what needs the whole file (a rule naming an unknown field, two
rules of one name) is checked in `bind` and `whole`, so that every fault is reported in one go. A file is loaded by
`load`; a Config made in Python from plain data passes the checks of this module only.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from pydantic import Field, SecretStr, model_validator

from leadbridge.config.alarms import Alarms
from leadbridge.config.behaviour import Behaviour
from leadbridge.config.catalogue import Asset
from leadbridge.config.company import Company
from leadbridge.config.conditions import Condition, When
from leadbridge.config.connections import Connections
from leadbridge.config.consent import Consent
from leadbridge.config.fields import FieldMapping, WriteBackTarget
from leadbridge.config.guards import Guards
from leadbridge.config.hand_off import HandOff
from leadbridge.config.intake import Intake
from leadbridge.config.kinds import (
    HttpAddress,
    Name,
    Section,
    StoreAddress,
    across,
)
from leadbridge.config.machines import Machines
from leadbridge.config.measurement import Measurement
from leadbridge.config.nurture import Nurture
from leadbridge.config.questions import Question, question_facts
from leadbridge.config.queue import QueueAddress, Rounds
from leadbridge.config.scores import Drift, Persona, ScoreModel, StageRule
from leadbridge.types import BuyerJourney, LifecycleStage

BUILT_IN_FIELDS = {
    "email": "text",
    "email_domain": "text",
    "lifecycle_stage": "text",
    "opted_out": "boolean",
    "created_at": "datetime",
    "objects_to_profiling": "boolean",
    "hand_off": "text",  # where it stands, or how it ended, while that counts
    "hand_off_reason": "text",
    "hand_off_to": "text",  # the receiver: name of the route
    "education": "number",
}
"""Fields every person has without being mapped."""


class Web(Section):
    """The web process."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8080, ge=0, le=65535, description="port to listen on (0: any free one)")
    public_url: HttpAddress | None = Field(None, description="address vendors call us at; HubSpot signs it")
    keep_free: int = Field(
        256,
        ge=0,
        description="megabytes to stay free on the disk of a SQLite store; with less, deliveries are turned away (503)",
    )
    status_password: SecretStr | None = Field(
        None,
        min_length=12,
        description="password of the status page; without one it is shown only while public_url is not public",
    )


class Config(Section):
    """The whole file."""

    store: StoreAddress = Field("sqlite:///leadbridge.db", description="sqlite:///FILE or postgresql://…", repr=False)
    queue: QueueAddress | None = Field(
        None,
        description="redis://… or amqp://…, for `leadbridge web`, `worker` and `beat`; needs PostgreSQL",
        repr=False,
    )
    connections: Connections = Field(description="the systems leadbridge runs beside")
    fields: dict[Name, FieldMapping] = Field(default={}, description="our name: where each CRM keeps it")
    write_back: dict[str, WriteBackTarget] = Field(default={}, description="our value: property to create and fill")
    behaviour: dict[Name, Behaviour] = Field(
        default={}, description="our name: a field worked out from what people did, for conditions everywhere"
    )
    questions: dict[Name, Question] = Field(
        default={}, description="what sales wants to know of a person, such as budget, authority, need and timeline"
    )
    personas: dict[Name, Persona] = Field(
        default={}, description="kinds of buyers; each person is taken for the nearest"
    )
    scores: dict[Name, ScoreModel] = Field(min_length=1, description="score by name; the first is the main one")
    company: Company | None = Field(None, description="whose scores count together: the people of one company")
    drift: Drift = Field(Drift(), description="when a small move of a score is shown to the vendors")
    stages: dict[LifecycleStage, StageRule] = Field(default={}, description="first match from the top")
    buyer_journey: dict[BuyerJourney, When] = Field(default={}, description="the furthest phase that holds")
    segments: dict[str, When] = Field(default={}, description="named conditions")
    catalogue: dict[Name, Asset] = Field(default={}, description="what there is to offer")
    nurture: Nurture = Field(Nurture(), description="who gets which journey")
    consent: Consent = Field(Consent(), description="who agreed to marketing mail, and who objects to profiling")
    guards: Guards = Field(Guards(), description="caps on contact: beyond them people wait, nobody is mailed")
    intake: Intake | None = Field(None, description="events from web analytics, product, social and survey tools")
    machines: Machines = Field(Machines(), description="whose opens and clicks of mail are a machine's")
    hand_off: HandOff | None = Field(None, description="when a person at the company is to act; default: never")
    alarms: Alarms = Field(Alarms(), description="where the operator is told what is wrong; default: nowhere")
    measurement: Measurement = Field(Measurement(), description="what success is, and what it costs")
    rounds: Rounds = Field(Rounds(), description="how a worker goes about what waits")
    web: Web = Field(Web(), description="the web process")

    @model_validator(mode="after")
    def _models_of_their_scores(self) -> "Config":
        for name, score in self.scores.items():
            if score.trained is not None and score.trained.score != name:
                raise across(f"scores.{name} has a model that was trained for score {score.trained.score}", "scores")
        return self


Outline: TypeAlias = Mapping[str, Iterable[str]]
"""Scores by name, each with the names of its categories."""


def attributes(fields: Mapping[str, str], personas: Iterable[str] = ()) -> dict[str, str]:
    """Every field a condition of a rule may look at, with its type: built-in and mapped ones, and personas."""
    near = {f"persona.{name}": "number" for name in personas}
    return {**BUILT_IN_FIELDS, **fields, **({"persona": "text"} if near else {}), **near}


def of_scores(scores: Outline) -> dict[str, str]:
    """Facts that scores give, with their types. A rule may look at those of the other scores."""
    found = {}
    for name, categories in scores.items():
        found[f"score.{name}"] = "number"
        found[f"grade.{name}"] = found[f"matrix.{name}"] = "text"
        found.update({f"score.{name}.{category}": "number" for category in categories})
    return found


def of_company(scores: Iterable[str]) -> dict[str, str]:
    """Facts that the scores of colleagues give, with their types; `scores`: those that are taken together."""
    return {f"company.{name}": "number" for name in scores}


def facts(
    fields: Mapping[str, str], scores: Outline, personas: Iterable[str] = (), company: Iterable[str] = ()
) -> dict[str, str]:
    """Every field a condition outside rules may look at, with its type: attributes, scores, stage, segments.

    `fields` are mapped ones and those worked out from behaviour.
    """
    found = {**attributes(fields, personas), **of_scores(scores), **of_company(company)}
    found.update(stage="text", buyer_journey="text", segment="text")
    return found


def values(
    scores: Outline,
    personas: Iterable[str] = (),
    behaviour: Mapping[str, str] | None = None,
    *,
    asks: bool = False,
) -> dict[str, str]:
    """Every name `write_back` may use, with the kind of property it fills ("number", "text", "choice", "date").

    `behaviour`: fields worked out from what people did, with their types; `asks`: are there questions?
    """
    found = {"score": "number", "grade": "choice", "matrix": "choice", "stage": "choice", "reasons": "text",
             "confidence": "number", "scored_at": "date", "model": "text",
             "probability": "number", "probability_state": "text",
             "buyer_journey": "choice", "journey": "text", "segments": "text",
             "hand_off": "text", "hand_off_to": "text",
             "next_asset": "text", "next_asset_url": "text", "next_asset_code": "text",
             "next_asset_reason": "text"}  # fmt: skip
    for name, categories in scores.items():
        found |= {f"score.{name}": "number", f"grade.{name}": "choice", f"reasons.{name}": "text"}
        found |= {f"matrix.{name}": "choice", f"probability.{name}": "number", f"probability_state.{name}": "text"}
        found |= {f"confidence.{name}": "number", f"scored_at.{name}": "date", f"model.{name}": "text"}
        found.update({f"score.{name}.{category}": "number" for category in categories})
    found.update({f"score.{category}": "number" for category in next(iter(scores.values()), ())})
    if near := {f"persona.{name}": "number" for name in personas}:
        found |= {"persona": "choice", "persona_reasons": "text", **near}
    if asks:
        found |= {"completeness": "number", "next_question": "text", "qualification": "text"}
    found |= {name: "number" if kind == "number" else "text" for name, kind in (behaviour or {}).items()}
    return found


def field_types(config: Config) -> dict[str, str]:
    """Fields of a person with their types: mapped ones, and those worked out from behaviour and questions."""
    return {
        **{name: mapping.type for name, mapping in config.fields.items()},
        **{name: behaviour.type for name, behaviour in config.behaviour.items()},
        **question_facts(config.questions),
    }


def known_facts(config: Config) -> dict[str, str]:
    """`facts` of a configuration."""
    company = () if config.company is None else config.company.scores
    return facts(field_types(config), _outline(config), config.personas, company)


def known_values(config: Config) -> dict[str, str]:
    """`values` of a configuration."""
    worked_out = {name: behaviour.type for name, behaviour in config.behaviour.items()}
    return values(_outline(config), config.personas, worked_out, asks=bool(config.questions))


def _outline(config: Config) -> Outline:
    return {name: model.categories for name, model in config.scores.items()}


def conditions_of(config: Config) -> Iterator[tuple[tuple[str | int, ...], Condition, bool]]:
    """(path in the file, condition, may look at scores and stage) for every condition on a person."""
    for key, consent_rule in (("given", config.consent.given), ("objection", config.consent.objection)):
        if consent_rule is not None:
            yield ("consent", key), consent_rule, False
    for name, question in config.questions.items():
        if question.enough is not None:
            yield ("questions", name, "enough"), question.enough, False
    if config.company is not None and config.company.where is not None:
        yield ("company", "where"), config.company.where, False
    for name, persona in config.personas.items():
        for index, trait in enumerate(persona.traits):
            yield ("personas", name, "traits", index, "when"), trait.when, False
    for name, model in config.scores.items():
        if model.applies_to is not None:
            yield ("scores", name, "applies_to"), model.applies_to, False
        for index, rule in enumerate(model.rules):
            if rule.when is not None:
                yield ("scores", name, "rules", index, "when"), rule.when, False
            if rule.pause_while is not None:
                yield ("scores", name, "rules", index, "pause_while"), rule.pause_while, False
    for stage, stage_rule in config.stages.items():
        yield ("stages", stage.value, "when"), stage_rule.when, True
        if stage_rule.until is not None:
            yield ("stages", stage.value, "until"), stage_rule.until, True
    for phase, when in config.buyer_journey.items():
        yield ("buyer_journey", phase.value), when, True
    for segment, when in config.segments.items():
        yield ("segments", segment), when, True
    for asset_name, asset in config.catalogue.items():
        if asset.when is not None:
            yield ("catalogue", asset_name, "when"), asset.when, True
    for key, nurture_rule in (("pause_while", config.nurture.pause_while), ("until", config.nurture.until)):
        if nurture_rule is not None:
            yield ("nurture", key), nurture_rule, True
    for index, journey in enumerate(config.nurture.journeys):
        yield ("nurture", "journeys", index, "when"), journey.when, True
        if journey.until is not None:
            yield ("nurture", "journeys", index, "until"), journey.until, True
    if config.hand_off is not None:
        yield from _handing_over(config.hand_off)


def _handing_over(given: HandOff) -> Iterator[tuple[tuple[str | int, ...], Condition, bool]]:
    for name, condition in given.needs.items():
        yield ("hand_off", "needs", name), condition, True
    for index, route in enumerate(given.routes):
        if route.when is not None:
            yield ("hand_off", "routes", index, "when"), route.when, True
    if given.accepted is not None:
        yield ("hand_off", "accepted"), given.accepted, True
    for name, returning in (("rejected", given.rejected), ("lost", given.lost)):
        if returning is not None:
            yield ("hand_off", name, "when"), returning.when, True
    for index, care in enumerate(given.care):
        yield ("hand_off", "care", index, "when"), care.when, True

"""The file's JSON Schema, for editors that complete and check YAML while it is written."""

from collections.abc import Iterator
from typing import Any

from leadbridge.config.conditions import Test
from leadbridge.config.kinds import Section
from leadbridge.config.schema import Config

CONDITION = {
    "title": "Condition",
    "description": "all of these hold: fields and their tests, all, any, not",
    "type": "object",
    "minProperties": 1,
    "properties": {
        "all": {"description": "every one of these", "type": "array", "items": {"$ref": "#/$defs/Condition"}},
        "any": {"description": "at least one of these", "type": "array", "items": {"$ref": "#/$defs/Condition"}},
        "not": {"description": "this does not hold", "$ref": "#/$defs/Condition"},
    },
    "additionalProperties": {
        "description": "a field: the value it equals, or a test",
        "anyOf": [{"type": ["string", "number", "boolean"]}, {"$ref": "#/$defs/Test"}],
    },
}
SECRET = {"type": "string", "pattern": r"^\$\{[A-Za-z_][A-Za-z0-9_]*\}$", "description": "${NAME} of a variable"}
TEXT = {"type": ["string", "number", "boolean"]}
"""A bare 5 or true is a text where text is wanted."""


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the whole file; every key carries its one-line help.

    It describes what one place may hold. What needs the whole file, such as a rule's category being one of the
    score's, only `load` knows.
    """
    schema = Config.model_json_schema(by_alias=True)
    test = Test.model_json_schema(by_alias=True)
    definitions = {**schema.pop("$defs"), **test.pop("$defs", {}), "Test": test}
    written = _as_written({**schema, "$defs": definitions})
    written["$defs"]["Condition"] = CONDITION
    for section in _sections(Section):
        if section.short_form and section.__name__ in written["$defs"]:
            _allow_short_form(written["$defs"], section)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **written,
        "title": "leadbridge.yaml",
        "description": "Configuration of leadbridge",
    }


def _as_written(part: Any) -> Any:
    """Pydantic's schema of the values, turned into one of what is written for them."""
    if isinstance(part, list):
        return [_as_written(item) for item in part if item != {"type": "null"}]
    if not isinstance(part, dict):
        return part
    told = {key: part[key] for key in ("description",) if key in part}
    match part.get("format"):
        case "condition":
            return {"$ref": "#/$defs/Condition", **told}
        case "password":
            return {**SECRET, **told}
    if part.get("type") == "string" and not {"pattern", "enum", "const"} & part.keys():
        part = {**part, **TEXT}
    found = {key: _as_written(value) for key, value in part.items() if key not in ("default", "writeOnly")}
    if isinstance(found.get("title"), str):
        del found["title"]
    if "patternProperties" in found:
        found["additionalProperties"] = False
    options = found.get("anyOf", [])
    if TEXT in options:
        options = [option for option in options if option.get("type") not in ("boolean", "integer", "number")]
        found["anyOf"] = options
    if len(options) == 1:  # what was left beside null
        found = {**found.pop("anyOf")[0], **found}
    return found


def _sections(kind: type[Section]) -> Iterator[type[Section]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _sections(below)


def _allow_short_form(definitions: dict[str, Any], section: type[Section]) -> None:
    """[100, 1%] beside {count: 100, share: 1%}."""
    long = definitions[section.__name__]
    parts = [long["properties"][key] for key in section.short_form]
    short = {"type": "array", "prefixItems": parts, "minItems": len(parts), "maxItems": len(parts)}
    definitions[section.__name__] = {"description": long["description"], "anyOf": [short, long]}

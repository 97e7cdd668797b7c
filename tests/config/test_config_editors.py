"""The published JSON Schema agrees with what loading accepts, and helps at every key."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from leadbridge.config import conditions
from leadbridge.config.load import json_schema
from tests.helpers.config_files import changed, faults_of, loaded

EXAMPLE = Path(__file__).parents[2] / "examples" / "hubspot-mailchimp.yaml"
SCHEMA = json_schema()
KINDS: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}


def wrong(value: Any, schema: Any, path: str = "") -> Iterator[str]:
    """What does not fit: the part of JSON Schema that ours uses, and nothing else (an unknown keyword fails)."""
    for keyword, wanted in schema.items():
        match keyword:
            case "$ref":
                yield from wrong(value, SCHEMA["$defs"][wanted.removeprefix("#/$defs/")], path)
            case "type":
                kinds = [wanted] if isinstance(wanted, str) else wanted
                fits = any(
                    isinstance(value, KINDS[kind]) and (kind == "boolean") == isinstance(value, bool) for kind in kinds
                )
                if not fits:
                    yield f"{path}: not {wanted}"
            case "anyOf":
                if all(any(wrong(value, one, path)) for one in wanted):
                    yield f"{path}: none of anyOf"
            case "enum" if value not in wanted:
                yield f"{path}: not in {wanted}"
            case "const" if value != wanted:
                yield f"{path}: not {wanted}"
            case "pattern" if isinstance(value, str) and not re.search(wanted, value):
                yield f"{path}: not like {wanted}"
            case "properties" if isinstance(value, dict):
                for key, below in wanted.items():
                    if key in value:
                        yield from wrong(value[key], below, f"{path}.{key}")
            case "patternProperties" if isinstance(value, dict):
                for pattern, below in wanted.items():
                    for key in value:
                        if re.search(pattern, key):
                            yield from wrong(value[key], below, f"{path}.{key}")
            case "additionalProperties" if isinstance(value, dict):
                known = [*schema.get("properties", {})]
                patterns = [*schema.get("patternProperties", {})]
                for key in value:
                    if key not in known and not any(re.search(pattern, key) for pattern in patterns):
                        if wanted is False:
                            yield f"{path}.{key}: unknown"
                        else:
                            yield from wrong(value[key], wanted, f"{path}.{key}")
            case "propertyNames" if isinstance(value, dict):
                for key in value:
                    yield from wrong(key, wanted, f"{path}.{key}")
            case "required" if isinstance(value, dict):
                yield from (f"{path}: lacks {key}" for key in wanted if key not in value)
            case "items" if isinstance(value, list):
                for index, item in enumerate(value):
                    yield from wrong(item, wanted, f"{path}[{index}]")
            case "prefixItems" if isinstance(value, list):
                for index, (item, below) in enumerate(zip(value, wanted, strict=False)):
                    yield from wrong(item, below, f"{path}[{index}]")
            case "minItems" | "minLength" | "minProperties" if hasattr(value, "__len__") and len(value) < wanted:
                yield f"{path}: shorter than {wanted}"
            case "maxItems" | "maxLength" if hasattr(value, "__len__") and len(value) > wanted:
                yield f"{path}: longer than {wanted}"
            case "minimum" if isinstance(value, int | float) and value < wanted:
                yield f"{path}: below {wanted}"
            case "maximum" if isinstance(value, int | float) and value > wanted:
                yield f"{path}: above {wanted}"
            case "exclusiveMinimum" if isinstance(value, int | float) and value <= wanted:
                yield f"{path}: not above {wanted}"
            case _:
                assert keyword in USED, f"unknown keyword {keyword}"


USED = {
    "$defs", "$schema", "title", "description", "examples", "enum", "const", "pattern", "properties", "required",
    "patternProperties", "additionalProperties", "propertyNames", "items", "prefixItems", "minItems", "maxItems",
    "minLength", "maxLength", "minProperties", "minimum", "maximum", "exclusiveMinimum",
}  # fmt: skip


def as_editors_see(text: str) -> Any:
    return _text_keys(YAML(typ="safe", pure=True).load(text))


def _text_keys(found: Any) -> Any:
    """Keys as JSON has them: `1:` is the text "1"."""
    if isinstance(found, dict):
        return {str(key): _text_keys(value) for key, value in found.items()}
    return [_text_keys(one) for one in found] if isinstance(found, list) else found


def test_the_shipped_example_fits_the_schema() -> None:
    assert list(wrong(as_editors_see(EXAMPLE.read_text(encoding="utf-8")), SCHEMA)) == []


def test_a_sound_file_fits_the_schema() -> None:
    text = changed(
        ("words: [vp, head]", "words: head"),
        ("activity: page_view", "activity: [page_view, email_clicked]"),
        (
            "small: {employees: {below: 50}}",
            "small: {any: [{not: {partner: true}}, {budget: 5, country: {in: [NO, 5]}}]}",
        ),
        ("nurture:\n", "guards: {per_hour: [10, 0.5%], per_day: {count: 20, share: 2%}}\nnurture:\n"),
        ("audience: a36b032126", "audience: 36032126"),
    )
    loaded(text)
    assert list(wrong(as_editors_see(text), SCHEMA)) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("points: 15", "pionts: 15", ".scores.lead.rules[0].pionts: unknown"),
        ("points: 15", "points: many", ".scores.lead.rules[0].points: not number"),
        ("points: 15", "points: 5000", ".scores.lead.rules[0].points: above 1000"),
        ("name: guides, ", "", ".nurture.journeys[0]: lacks name"),
        ("activity: page_view", "activity: page_views", ".scores.lead.rules[1].activity: none of anyOf"),
        ("job_title: {words", "job_title: {wordz", ".scores.lead.rules[0].when.job_title: none of anyOf"),
        ("small: {employees: {below: 50}}", "small: {all: {employees: 5}}", ".segments.small.all: not array"),
        ('"${HUBSPOT_TOKEN}"', "a-literal-token", ".connections.hubspot.token: not like"),
        ("stages:\n", "stages:\n  sqll: {when: {country: NO}}\n", ".stages.sqll: not in"),
        ("points: 8", "points: 8, within: 30", ".scores.lead.rules[1].within: not string"),
        ("  country: {", "  Land: {hubspot: x}\n  country: {", ".fields.Land: unknown"),
    ],
)
def test_what_loading_refuses_in_one_place_the_schema_refuses_too(old: str, new: str, told: str) -> None:
    text = changed((old, new))
    faults_of(text)
    assert any(found.startswith(told) for found in wrong(as_editors_see(text), SCHEMA))


def test_every_key_has_one_line_of_help_without_jargon() -> None:
    def keys(part: Any, path: str) -> Iterator[tuple[str, Any]]:
        if isinstance(part, dict):
            for key, below in part.get("properties", {}).items() if isinstance(part.get("properties"), dict) else ():
                yield f"{path}.{key}", below
            for name, below in part.items():
                yield from keys(below, f"{path}/{name}")
        elif isinstance(part, list):
            for below in part:
                yield from keys(below, path)

    every = dict(keys(SCHEMA, ""))
    assert len(every) > 80
    assert [path for path, below in every.items() if not below.get("description")] == []
    assert not [path for path, below in every.items() if "\n" in below["description"]]


def test_every_test_of_a_condition_is_in_the_schema() -> None:
    assert set(SCHEMA["$defs"]["Test"]["properties"]) == set(conditions.test_names())


def test_the_schema_is_plain_json_and_every_reference_leads_somewhere() -> None:
    text = json.dumps(SCHEMA)
    assert json.loads(text) == SCHEMA
    named = set(re.findall(r'"#/\$defs/(\w+)"', text))
    assert named == named & set(SCHEMA["$defs"])
    assert "null" not in text
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"

"""Audience fields: their definitions, and what may be written into them (vendor page, 4).

Answers for too many fields, a tag too long and a tag taken twice are not documented; their wording is made up.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from leadbridge.sandbox.mailchimp.answers import Body, invalid, listing, misshapen, not_found, tidy, truth
from leadbridge.sandbox.mailchimp.core import Ask, Core, Route
from leadbridge.sandbox.mailchimp.state import Audience, MergeField

TYPES = ("text", "number", "address", "phone", "date", "url", "imageurl", "radio", "dropdown", "birthday", "zip")
CHOICE_TYPES = ("radio", "dropdown")
TAG_LENGTH = 10
TEXT_BYTES = 255
ADDRESS_NEEDS = ("addr1", "city", "state", "zip")
DATE_FORMS = ("%Y-%m-%d", "%m/%d/%Y", "%Y/%m/%d")
NO_SCHEMA = "Data did not match any of the schemas described in anyOf."


class Unfit(Exception):
    """A value does not suit its field; the message is what Mailchimp says."""


def _text(value: Any, _field: MergeField) -> str:
    return str(value).encode()[:TEXT_BYTES].decode(errors="ignore")


def _number(value: Any, _field: MergeField) -> int | float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise Unfit("Please enter a number")
    return tidy(number)


def _date(value: Any, _field: MergeField) -> str:
    text = str(value)[:10]
    for form in DATE_FORMS:
        try:
            return datetime.strptime(text, form).date().isoformat()  # noqa: DTZ007 - a day has no zone
        except ValueError:
            continue
    raise Unfit("Please enter the date in the format YYYY-MM-DD")


def _birthday(value: Any, _field: MergeField) -> str:
    try:
        datetime.strptime(f"2000/{value}", "%Y/%m/%d")  # noqa: DTZ007 - 2000 has a 29 February
    except ValueError:
        raise Unfit("Please enter a month (01-12) and a day (01-31)") from None
    return str(value)


def _zip(value: Any, _field: MergeField) -> str:
    if not re.fullmatch(r"\d{5}(-\d{4})?", str(value)):
        raise Unfit("Please enter a 5-digit zip code")
    return str(value)


def _url(value: Any, _field: MergeField) -> str:
    if not re.match(r"https?://\S+\.\S+", str(value)):
        raise Unfit("Please enter a valid URL")
    return str(value)


def _choice(value: Any, field: MergeField) -> str:
    if str(value) not in field.options.get("choices", ()):
        raise Unfit("Please choose one of the listed options")
    return str(value)


def _address(value: Any, _field: MergeField) -> dict[str, Any]:
    if not isinstance(value, Mapping) or any(not value.get(part) for part in ADDRESS_NEEDS):
        raise Unfit("Please enter a complete address")
    return {"addr2": "", "country": "US", **value}


READ: dict[str, Callable[[Any, MergeField], Any]] = {
    "text": _text,
    "phone": _text,
    "number": _number,
    "date": _date,
    "birthday": _birthday,
    "zip": _zip,
    "url": _url,
    "imageurl": _url,
    "radio": _choice,
    "dropdown": _choice,
    "address": _address,
}


def read_values(audience: Audience, given: Any, stored: Mapping[str, Any], *, skip_required: bool) -> dict[str, Any]:
    """The values to store for what was given. Unknown tags are ignored; one unfit value refuses the whole call."""
    if not isinstance(given, Mapping):
        raise misshapen(("merge_fields", "Schema describes object, another type found instead"))
    shapeless = [
        (f"merge_fields.{tag}", NO_SCHEMA)
        for tag, value in given.items()
        if value is None
        or isinstance(value, bool | list)
        or (isinstance(value, dict) and _type(audience, tag) != "address")
    ]
    if shapeless:
        raise misshapen(*shapeless)
    values: dict[str, Any] = {}
    errors: list[tuple[str, str]] = []
    for field in audience.merge_fields.values():
        value = given.get(field.tag)
        if field.required and value in (None, "") and stored.get(field.tag, "") == "" and not skip_required:
            errors.append((field.tag, "Please enter a value"))
        elif value == "":  # clears a field of any type
            values[field.tag] = ""
        elif value is not None:
            try:
                values[field.tag] = READ[field.type](value, field)
            except Unfit as why:
                errors.append((field.tag, str(why)))
    if errors:
        raise invalid("Your merge fields were invalid.", errors)
    return values


def _type(audience: Audience, tag: str) -> str:
    field = audience.field_tagged(tag)
    return field.type if field else "address"  # an unknown tag is ignored, whatever its value


def shown(audience: Audience, values: Mapping[str, Any]) -> Body:
    """Merge fields as a member shows them: every field of the audience, empty ones as ``""``."""
    return {field.tag: values.get(field.tag, field.default_value) for field in audience.merge_fields.values()}


# --- definitions -------------------------------------------------------------------------------------------------


def _show(audience: Audience, field: MergeField) -> Body:
    return {
        "merge_id": field.merge_id,
        "tag": field.tag,
        "name": field.name,
        "type": field.type,
        "required": field.required,
        "default_value": field.default_value,
        "public": field.public,
        "display_order": field.display_order,
        "options": {"size": 25, **field.options} if field.type == "text" else dict(field.options),
        "help_text": field.help_text,
        "list_id": audience.id,
        "_links": [],
    }


def _list(core: Core, ask: Ask) -> Body:
    audience, query = core.audience(ask), ask.query
    rows = [
        field
        for field in audience.merge_fields.values()
        if query.get("type", field.type) == field.type
        and ("required" not in query or truth(query["required"]) == field.required)
    ]
    return listing("merge_fields", rows, query, lambda field: _show(audience, field), list_id=audience.id)


def _field(core: Core, ask: Ask) -> tuple[Audience, MergeField]:
    audience = core.audience(ask)
    field = audience.merge_fields.get(int(ask.at["merge_id"])) if ask.at["merge_id"].isdigit() else None
    if field is None:
        raise not_found()
    return audience, field


def _get(core: Core, ask: Ask) -> Body:
    return _show(*_field(core, ask))


def _checked_tag(audience: Audience, tag: str) -> str:
    tag = tag.upper()
    if len(tag) > TAG_LENGTH or not re.fullmatch(r"[A-Z0-9_]+", tag):
        raise invalid("Your merge tag was invalid.", [("tag", f"Merge tags have at most {TAG_LENGTH} characters.")])
    if tag == "EMAIL" or audience.field_tagged(tag):
        raise invalid(f'A Merge Field with the tag "{tag}" already exists for this list.')
    return tag


def _create(core: Core, ask: Ask) -> Body:
    audience, body = core.audience(ask), ask.fields("name", "type")
    if body["type"] not in TYPES:
        raise misshapen(("type", "The value you selected is not a valid choice."))
    if len(audience.merge_fields) >= core.settings.merge_field_limit:
        raise invalid(f"You have reached the limit of {core.settings.merge_field_limit} merge fields for this list.")
    options = dict(body.get("options") or {})
    if body["type"] in CHOICE_TYPES and not options.get("choices"):
        raise misshapen(("options.choices", "This value should not be blank."))
    merge_id = max(audience.merge_fields, default=0) + 1
    tag = _checked_tag(audience, str(body["tag"])) if body.get("tag") else f"MERGE{merge_id}"
    audience.merge_fields[merge_id] = MergeField(
        merge_id,
        tag,
        str(body["name"]),
        body["type"],
        required=bool(body.get("required")),
        default_value=str(body.get("default_value", "")),
        public=bool(body.get("public")),
        display_order=int(body.get("display_order") or merge_id + 1),
        options=options,
        help_text=str(body.get("help_text", "")),
    )
    ask.act.effect("merge_field_created", list=audience.id, tag=tag, type=body["type"])
    return _show(audience, audience.merge_fields[merge_id])


def _update(core: Core, ask: Ask) -> Body:
    audience, field = _field(core, ask)
    body = ask.fields("name")
    if body.get("tag") and str(body["tag"]).upper() != field.tag:
        new = _checked_tag(audience, str(body["tag"]))
        for member in audience.members.values():
            if field.tag in member.merge_fields:
                member.merge_fields[new] = member.merge_fields.pop(field.tag)
        field.tag = new
    # No `type`: it cannot change after creation (vendor page, 4).
    for name in ("name", "required", "default_value", "public", "display_order", "help_text", "options"):
        if name in body:
            setattr(field, name, body[name])
    ask.act.effect("merge_field_updated", list=audience.id, tag=field.tag)
    return _show(audience, field)


def _delete(core: Core, ask: Ask) -> None:
    audience, field = _field(core, ask)
    del audience.merge_fields[field.merge_id]
    for member in audience.members.values():
        member.merge_fields.pop(field.tag, None)
    ask.act.effect("merge_field_deleted", list=audience.id, tag=field.tag)


ROUTES = (
    Route("GET", "/lists/{list_id}/merge-fields", "merge_fields.list", _list),
    Route("POST", "/lists/{list_id}/merge-fields", "merge_fields.create", _create),
    Route("GET", "/lists/{list_id}/merge-fields/{merge_id}", "merge_fields.get", _get),
    Route("PATCH", "/lists/{list_id}/merge-fields/{merge_id}", "merge_fields.update", _update),
    Route("DELETE", "/lists/{list_id}/merge-fields/{merge_id}", "merge_fields.delete", _delete),
)

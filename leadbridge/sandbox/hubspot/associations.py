"""Associations over HTTP, v4 and dated (vendor page, section 7)."""

import json
from collections.abc import Mapping
from typing import Any

from leadbridge.sandbox.hubspot.answers import NOT_FOUND, Refused, Reply, batch, not_found, paging
from leadbridge.sandbox.hubspot.call import ApiCall, page_of
from leadbridge.sandbox.hubspot.kinds import Kind, link_of

_MOST_READ, _MOST_CREATED, _PAGE = 1_000, 2_000, 500


def _id(call: ApiCall, record_id: str) -> object:
    """A number in v4 (and 2026-03), text in 2026-09."""
    return record_id if call.version == "2026-09" else int(record_id)


def _types(source: Kind, target: Kind, type_ids: frozenset[int]) -> list[dict[str, Any]]:
    primary = link_of(source, target).primary
    return [
        {"category": "HUBSPOT_DEFINED", "typeId": t, "label": "Primary" if t == primary else None}
        for t in sorted(type_ids)
    ]


def _rows(call: ApiCall, source: Kind, from_id: str, target: Kind) -> list[dict[str, Any]]:
    """Everything one record is associated with; the primary one is marked by its label, not by its place."""
    found = call.state.linked(source.name, from_id, target.name)
    return [
        {"toObjectId": _id(call, to_id), "associationTypes": _types(source, target, types)}
        for to_id, types in sorted(found.items(), key=lambda row: int(row[0]))
    ]


def batch_read(call: ApiCall, source: Kind, target: Kind) -> Reply:
    """An input without associations makes the answer a 207 and has no row in ``results``."""
    link_of(source, target)
    results, errors = [], []
    for one in call.inputs(_MOST_READ):
        from_id = str(one.get("id", ""))
        rows, after = page_of(_rows(call, source, from_id, target), int(one.get("after") or 0), _PAGE)
        if rows:
            results.append({"from": {"id": from_id}, "to": rows, **paging(after)})
        else:
            errors.append(_none_found(source, from_id, target))
    return batch(results, errors, call.now, partial=call.partial_status)


def _none_found(source: Kind, from_id: str, target: Kind) -> Mapping[str, Any]:
    return {
        "status": "error",
        "category": NOT_FOUND,
        "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
        "message": f"No {target.singular} is associated with {source.singular} {from_id}.",
        "context": {
            "fromObjectId": [from_id],
            "fromObjectType": [source.singular],
            "toObjectType": [target.singular],
        },
    }


def list_(call: ApiCall, source: Kind, record_id: str, target: Kind) -> Reply:
    """The associations of one record, by position."""
    if call.table(source).live(record_id) is None:
        raise not_found()
    link_of(source, target)
    rows, after = page_of(_rows(call, source, record_id, target), call.offset(), call.number("limit", _PAGE, _PAGE))
    return Reply(200, {"results": rows, **paging(after)})


def labels(_: ApiCall, source: Kind, target: Kind) -> Reply:
    link = link_of(source, target)
    known = frozenset({link.default} | ({link.primary} if link.primary is not None else set()))
    return Reply(200, {"results": _types(source, target, known)})


def _end(given: Mapping[str, Any], side: str) -> str:
    end = given.get(side)
    return str(end.get("id", "")) if isinstance(end, dict) else ""


def _link(call: ApiCall, source: Kind, from_id: str, target: Kind, to_id: str, type_ids: frozenset[int] | None) -> None:
    if call.table(source).live(from_id) is None or call.table(target).live(to_id) is None:
        raise Refused(
            404,
            f"One or more object ids are not valid: {from_id}, {to_id}",
            category=NOT_FOUND,
            subCategory="crm.associations.INVALID_IDENTIFIER",
        )
    if (source.name, from_id) == (target.name, to_id):
        raise Refused(400, "A record cannot be associated with itself")
    link = link_of(source, target)
    if type_ids is not None and not type_ids <= {link.default, link.primary}:
        raise Refused(400, f"Association types {sorted(type_ids)} are not valid for {source.name} to {target.name}")
    call.account.acts.link(source, from_id, target, to_id, call.act, type_ids)


def _created(source: Kind, from_id: str, target: Kind, to_id: str) -> dict[str, Any]:
    return {
        "fromObjectTypeId": source.type_id,
        "fromObjectId": int(from_id),
        "toObjectTypeId": target.type_id,
        "toObjectId": int(to_id),
        "labels": [],
    }


def _default(call: ApiCall, source: Kind, from_id: str, target: Kind, to_id: str) -> dict[str, Any]:
    _link(call, source, from_id, target, to_id, None)
    return {
        "from": {"id": from_id},
        "to": {"id": to_id},
        "associationSpec": {
            "associationCategory": "HUBSPOT_DEFINED",
            "associationTypeId": link_of(source, target).default,
        },
    }


def _wanted(types: object) -> frozenset[int]:
    try:
        return frozenset(int(one["associationTypeId"]) for one in types)  # type: ignore[attr-defined]
    except (KeyError, TypeError, ValueError):
        raise Refused(400, "Every association needs an associationCategory and an associationTypeId") from None


def batch_create(call: ApiCall, source: Kind, target: Kind) -> Reply:
    results, errors = [], []
    for one in call.inputs(_MOST_CREATED):
        from_id, to_id = _end(one, "from"), _end(one, "to")
        try:
            _link(call, source, from_id, target, to_id, _wanted(one.get("types")))
            results.append(_created(source, from_id, target, to_id))
        except Refused as refused:
            errors.append(refused.as_item())
    return batch(results, errors, call.now, status=201)


def batch_default(call: ApiCall, source: Kind, target: Kind) -> Reply:
    results, errors = [], []
    for one in call.inputs(_MOST_CREATED):
        try:
            results.append(_default(call, source, _end(one, "from"), target, _end(one, "to")))
        except Refused as refused:
            errors.append(refused.as_item())
    return batch(results, errors, call.now)


def batch_archive(call: ApiCall, source: Kind, target: Kind) -> Reply:
    """204 also for what is not associated."""
    for one in call.inputs(_MOST_CREATED):
        for end in one.get("to") or []:
            call.account.acts.unlink(source, _end(one, "from"), target, str(end.get("id", "")), call.act)
    return Reply(204)


def create(call: ApiCall, source: Kind, record_id: str, target: Kind, to_id: str) -> Reply:
    try:
        types = json.loads(call.body)
    except ValueError:
        types = None
    _link(call, source, record_id, target, to_id, _wanted(types))
    return Reply(201, _created(source, record_id, target, to_id))


def create_default(call: ApiCall, source: Kind, record_id: str, target: Kind, to_id: str) -> Reply:
    return batch([_default(call, source, record_id, target, to_id)], [], call.now)


def archive(call: ApiCall, source: Kind, record_id: str, target: Kind, to_id: str) -> Reply:
    call.account.acts.unlink(source, record_id, target, to_id, call.act)
    return Reply(204)

"""Search: its own index that lags behind, its operators and its limits (vendor page, section 6)."""

import fnmatch
import json
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from leadbridge.sandbox.hubspot.answers import Refused, Reply, paging
from leadbridge.sandbox.hubspot.call import ApiCall, bad_number
from leadbridge.sandbox.hubspot.definitions import Property
from leadbridge.sandbox.hubspot.kinds import Kind, kind_of
from leadbridge.sandbox.hubspot.records import as_json
from leadbridge.sandbox.hubspot.store import Record, State, Table
from leadbridge.sandbox.hubspot.values import instant_ms

MOST_HITS = 10_000
_MOST_BODY = 3_000
_MOST_GROUPS, _MOST_PER_GROUP, _MOST_FILTERS = 5, 6, 18
_QUERIED = ("email", "firstname", "lastname", "phone", "company", "name", "domain", "dealname")
_TOKEN = re.compile(r"\w+")
_KEPT_SEARCHES = 8

Test = Callable[[Record], bool]
Value = float | str
# A record without a value matches only these (section 15; for NEQ unconfirmed).
_ABSENT_MATCHES = {"NOT_HAS_PROPERTY", "NEQ", "NOT_IN", "NOT_CONTAINS_TOKEN"}


def _tokens(text: str) -> set[str]:
    return set(_TOKEN.findall(text.lower()))


def _has_token(text: str, wanted: str) -> bool:
    if "*" in wanted:
        return any(fnmatch.fnmatchcase(part, wanted) for part in (text.lower(), *_tokens(text)))
    return _tokens(wanted) <= _tokens(text)


_ONE: dict[str, Callable[[Any, Any], bool]] = {
    "EQ": lambda value, wanted: value == wanted,
    "NEQ": lambda value, wanted: value != wanted,
    "LT": lambda value, wanted: value < wanted,
    "LTE": lambda value, wanted: value <= wanted,
    "GT": lambda value, wanted: value > wanted,
    "GTE": lambda value, wanted: value >= wanted,
    "CONTAINS_TOKEN": _has_token,
    "NOT_CONTAINS_TOKEN": lambda value, wanted: not _has_token(value, wanted),
}


class Searches:
    """Keeps the hits of the last searches, since a walk of pages asks the same question again and again."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], tuple[int, list[Record]]] = OrderedDict()

    def hits(self, state: State, kind: Kind, given: Mapping[str, Any]) -> list[Record]:
        """All matching records of the index, sorted."""
        table = state.tables[kind.name]
        question = {name: given.get(name) for name in ("filterGroups", "sorts", "query")}
        key = (kind.name, json.dumps(question, sort_keys=True))
        kept = self._kept.get(key)
        if kept is not None and kept[0] == table.index_version:
            return kept[1]
        groups = [
            [_test(state, kind, one) for one in group.get("filters") or []] for group in given.get("filterGroups") or []
        ]
        found = list(table.index.values())
        if groups:
            found = [r for r in found if any(all(test(r) for test in group) for group in groups)]
        if given.get("query"):
            wanted = str(given["query"]).lower()
            found = [r for r in found if any(wanted in r.properties.get(name, "").lower() for name in _QUERIED)]
        found = _sorted(table, given.get("sorts") or [], found)
        # Associations are not part of the index version, so what they decide is not kept.
        if "associations." not in key[1]:
            self._kept[key] = (table.index_version, found)
            if len(self._kept) > _KEPT_SEARCHES:
                self._kept.popitem(last=False)
        return found


def search(call: ApiCall, kind: Kind) -> Reply:
    """A page of hits. ``total`` counts the index; a hit archived since is counted but not shown."""
    if len(call.body.decode("utf-8", "replace")) > _MOST_BODY:
        raise Refused(400, f"The request body is too long: at most {_MOST_BODY} characters are allowed")
    given = call.json()
    _need_within_limits(given)
    limit = call.number("limit", 10, 200, given.get("limit"))
    after = str(given.get("after") or "0")
    if not after.isdigit():
        raise bad_number(after)
    start = int(after)
    if start + limit > MOST_HITS:
        raise Refused(400, f"The search cannot return results beyond {MOST_HITS}: after {start}, limit {limit}")
    table = call.table(kind)
    table.catch_up(call.account.store.clock.ticks())
    found = call.account.searches.hits(call.state, kind, given)
    names = given.get("properties") or ()
    results = [as_json(call, kind, record, names) for record in found[start : start + limit] if table.live(record.id)]
    following = start + limit if len(found) > start + limit else None
    return Reply(200, {"total": len(found), "results": results, **paging(following)})


def _need_within_limits(given: Mapping[str, Any]) -> None:
    groups = given.get("filterGroups") or []
    sizes = [len(group.get("filters") or []) for group in groups]
    if len(groups) > _MOST_GROUPS or any(n > _MOST_PER_GROUP for n in sizes) or sum(sizes) > _MOST_FILTERS:
        raise Refused(
            400,
            f"Too many filters: at most {_MOST_GROUPS} groups, {_MOST_PER_GROUP} filters in each and "
            f"{_MOST_FILTERS} in all",
        )
    if len(given.get("sorts") or []) > 1:
        raise Refused(400, "Only one sort is allowed")


def _sorted(table: Table, sorts: Sequence[Any], found: list[Record]) -> list[Record]:
    found.sort(key=lambda record: int(record.id))  # without a rule: the oldest first
    for rule in sorts:
        if isinstance(rule, str):
            rule = {"propertyName": rule.lstrip("-"), "direction": "DESCENDING" if rule[:1] == "-" else "ASCENDING"}
        prop = table.definitions.get(rule.get("propertyName", ""))
        if prop is not None and prop.name != "hs_object_id":
            read = _reader(table.kind, prop)
            # Records without a value come last, whatever the direction.
            have = [r for r in found if r.properties.get(prop.name)]
            rest = [r for r in found if not r.properties.get(prop.name)]
            have.sort(key=read, reverse=rule.get("direction") == "DESCENDING")
            found = have + rest
        elif rule.get("direction") == "DESCENDING":
            found.reverse()
    return found


def _reader(kind: Kind, prop: Property) -> Callable[[Record], Any]:
    """How the values of one property are compared: by number, by instant, or as text without case."""
    name = prop.name
    if name == kind.modified:
        return lambda record: record.modified_ms
    if name == kind.created:
        return lambda record: record.created_ms
    if name == "hs_object_id":
        return lambda record: int(record.id)
    convert = _converter(prop)
    return lambda record: convert(record.properties[name])


def _converter(prop: Property) -> Callable[[str], Value]:
    if prop.type == "number":
        return float
    if prop.type in ("date", "datetime"):
        return _instant
    return str.lower


def _instant(value: str) -> float:
    ms = instant_ms(value)
    if ms is None:
        raise ValueError(value)
    return ms


def _test(state: State, kind: Kind, given: Mapping[str, Any]) -> Test:
    """One filter as a question to a record."""
    name, operator = str(given.get("propertyName", "")), str(given.get("operator", ""))
    if name.startswith("associations."):
        other = kind_of(name.removeprefix("associations."))
        wanted_ids = {str(given.get("value", "")), *map(str, given.get("values") or [])}
        return lambda record: not wanted_ids.isdisjoint(state.linked(kind.name, record.id, other.name))
    prop = state.tables[kind.name].definitions.get(name)
    absent = operator in _ABSENT_MATCHES
    if prop is None:  # such as hs_lastmodifieddate on contacts: no record has it
        return lambda _: absent
    if operator in ("HAS_PROPERTY", "NOT_HAS_PROPERTY"):
        return lambda record: (name in record.properties) != absent
    judge = _judge(prop, operator, given)
    read = (lambda record: record.properties[name]) if operator.endswith("TOKEN") else _reader(kind, prop)
    return lambda record: judge(read(record)) if name in record.properties else absent


def _judge(prop: Property, operator: str, given: Mapping[str, Any]) -> Callable[[Any], bool]:
    convert = str.lower if operator.endswith("TOKEN") else _converter(prop)
    try:
        if operator in ("IN", "NOT_IN"):
            among = {convert(str(value)) for value in given["values"]}
            return (lambda value: value in among) if operator == "IN" else (lambda value: value not in among)
        wanted = convert(str(given["value"]))
        if operator == "BETWEEN":
            low, high = wanted, convert(str(given["highValue"]))
            return lambda value: low <= value <= high
        compare = _ONE[operator]
    except (KeyError, ValueError):
        raise Refused(400, f"Invalid filter on {prop.name}: {operator} with {dict(given)}") from None
    return lambda value: compare(value, wanted)

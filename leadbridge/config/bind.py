"""A tree of nodes to the sections of the schema, each built as soon as its parts are there.

The schema's type hints say what a text stands for: only where a number is wanted is `1.10` a number, only where true
or false is wanted is `true` a truth, and `NO` is never anything but "NO". What cannot be read is reported at its line
and left out; faults that are only a consequence of one already reported are not reported again.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, BeforeValidator, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from leadbridge.config import environment, plugins
from leadbridge.config.conditions import (
    NEEDS_A_TEST,
    AllOf,
    AnyOf,
    Condition,
    FieldTest,
    Not,
    Test,
    When,
    all_of,
)
from leadbridge.config.countries import country_of
from leadbridge.config.document import Node, Path
from leadbridge.config.facts import IS, Fact, Facts
from leadbridge.config.faults import Faults
from leadbridge.config.kinds import FromEnvironment, OneOrMany, Shape
from leadbridge.config.lists import NAMED_LISTS, WORD_LISTS
from leadbridge.config.plugins import PluginConnection
from leadbridge.config.wording import did_you_mean, in_words, listed, nearest, shown

NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d{1,15})?")
"""A plain decimal number: no 0123, 1_000, 1e3, .5 or 0x1F, which people read differently than programs."""

LONGEST_ADDRESS = 2000

LEFT_OUT: Final = object()
"""Stands for a value that could not be read; the fault is reported already."""

_LOGIC = {"or": "any", "and": "all"}
"""Words that people write in a condition, and ours for them."""

_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_WRITTEN_PASSWORD = re.compile(r"://[^/@\s]*:(?!\$\{[^}@/]*\}@)[^/@\s]+@")
_A = {str: "a text", bool: "true or false", int: "a whole number such as 15", float: "a number such as 15 or 2.5"}


@cache
def hints(section: type[BaseModel]) -> dict[str, tuple[Any, FieldInfo]]:
    """Type hint and field of each key, as written in the file."""
    found = get_type_hints(section, include_extras=True)
    return {info.alias or name: (found[name], info) for name, info in section.model_fields.items()}


def number(text: str, *, whole: bool = False) -> float | int | None:
    """The plain decimal number a text is, or None."""
    if not NUMBER.fullmatch(text):
        return None
    if "." not in text:
        return int(text)
    return None if whole else float(text)


@dataclass(frozen=True, slots=True)
class Binder:
    """What reading a tree needs to know, and what it finds: `faults` and `partial` grow."""

    faults: Faults
    facts: Facts
    environ: Mapping[str, str]
    partial: set[Path] = field(default_factory=set)  # what lacks something below, because it could not be read

    def wrong(self, node: Node, problem: str, hint: str = "") -> Any:
        self.faults.add(node.line, node.path, problem, hint)
        return LEFT_OUT

    def unlike(self, node: Node, word: str, allowed: Iterable[str], problem: str) -> Any:
        """A word that is none of the allowed ones."""
        names = list(allowed)
        hint = "" if self.faults.full else did_you_mean(word, names)
        return self.wrong(node, f"{problem}; allowed: {listed(names)}", hint)

    # --- sections ---------------------------------------------------------------------------------------------------

    def section(self, node: Node, kind: type[BaseModel]) -> Any:
        """The section, or LEFT_OUT. What could not be read is left out of it, so that the rest is still checked."""
        keys = hints(kind)
        entries = self._entries(node, kind)
        if entries is None:
            return LEFT_OUT
        data: dict[str, Any] = {}
        bad: set[str] = set()
        for key, below in entries.items():
            if key not in keys:
                bad |= {key, self._unknown(below, key, keys, entries)}
                continue
            value = self.value(below, keys[key][0])
            if value is not LEFT_OUT:
                data[key] = value
            if value is LEFT_OUT or below.path in self.partial:
                bad.add(key)
        for key, (_, info) in keys.items():
            if info.is_required() and key not in data and key not in bad:
                self.wrong(node, f"needs {key}: {info.description}")
                bad.add(key)
        built = self._built(node, kind, data, bad, entries)
        if bad:
            self.partial.add(node.path)
        return built

    def _entries(self, node: Node, kind: type[BaseModel]) -> dict[str, Node] | None:
        short: tuple[str, ...] = getattr(kind, "short_form", ())
        if node.kind == "series" and short:
            if len(node.items) == len(short):
                return dict(zip(short, node.items, strict=True))
            self.wrong(node, f"needs {len(short)} values: {listed(short)}, such as [100, 1%]")
        elif node.kind == "table" or node.blank:
            return node.entries
        elif node.kind != "broken":
            self.wrong(node, f"needs keys below it: {listed(hints(kind))}")
        return None

    def _unknown(self, node: Node, key: str, keys: Iterable[str], entries: Mapping[str, Node]) -> str:
        """Report an unknown key. Returns the key it probably stands for, which then is not missing."""
        meant = "" if self.faults.full else nearest(key, [name for name in keys if name not in entries]) or ""
        self.wrong(node, f"is not a key here; allowed: {listed(keys)}", f"did you mean {meant}?" if meant else "")
        return meant

    def _built(
        self, node: Node, kind: type[BaseModel], data: dict[str, Any], bad: set[str], entries: Mapping[str, Node]
    ) -> Any:
        while True:
            try:
                return kind.model_validate(data)
            except ValidationError as error:
                found = error.errors(include_url=False, include_input=False)
            left = len(data)
            for one in found:
                if one["type"] == "missing":
                    continue
                if not one["loc"]:
                    if bad.isdisjoint(one.get("ctx", {}).get("keys", bad)):
                        self.wrong(node, in_words(one))
                    return LEFT_OUT
                key = str(one["loc"][0])
                self.wrong(entries[key], in_words(one))
                bad.add(key)
                data.pop(key, None)
            if len(data) == left:  # a required key is missing
                return LEFT_OUT

    # --- values -----------------------------------------------------------------------------------------------------

    def value(self, node: Node, kind: Any) -> Any:
        """What the schema's validators expect for this type hint, or LEFT_OUT."""
        if node.kind == "broken":
            return LEFT_OUT
        if kind == When:
            found = self.condition(node)
            return LEFT_OUT if found is None else found
        origin, args = get_origin(kind), get_args(kind)
        if origin is Annotated:
            return self._annotated(node, args[0], args[1:])
        if origin in (Union, UnionType):
            options = [option for option in args if option is not NoneType]
            if len(options) > 1:  # one text or a list of them, by how it is written
                lists = [option for option in options if get_origin(_bare(option)) is list]
                options = lists if node.kind == "series" else [str]
            return self.value(node, options[0])
        if origin is Literal:
            return self._choice(node, args)
        if origin is list:
            return self._list(node, args[0])
        if origin is dict:
            return self._table(node, *args)
        if origin is tuple:
            return self._pair(node)
        if kind is PluginConnection:
            return self._plugin(node)
        if issubclass(kind, BaseModel):
            return self.section(node, kind)
        if issubclass(kind, Enum):
            return self._choice(node, [member.value for member in kind])
        if kind is SecretStr:
            return self._secret(node)
        return self._scalar(node, kind)

    def _plugin(self, node: Node) -> Any:
        """The connection of a system that another package brings, by that package's own keys."""
        name = str(node.path[-1])
        section = plugins.section_of(name)
        if section is None:
            there = listed(plugins.offered()) or "none is installed"
            return self.wrong(node, f"no installed package connects {name}; offered: {there}")
        return self.section(node, section)

    def _annotated(self, node: Node, base: Any, extras: tuple[Any, ...]) -> Any:
        if any(isinstance(extra, FromEnvironment) for extra in extras):
            return self._from_environment(node)
        if any(isinstance(extra, OneOrMany) for extra in extras) and node.kind == "text" and not node.blank:
            node = Node(node.path, node.line, "series", items=[node])
        reads_text = any(isinstance(extra, BeforeValidator) for extra in extras)  # such as 30d
        return self.value(node, str if reads_text else base)

    def _scalar(self, node: Node, kind: type) -> Any:
        if node.kind != "text":
            return self.wrong(node, f"needs {_A[kind]}, not {'a list' if node.kind == 'series' else 'keys below it'}")
        if node.blank:
            return self.wrong(node, f"has no value; write {_A[kind]}, or remove the key")
        if kind is str:
            if environment.REFERENCE.search(node.text):
                return self.wrong(node, "must be written out; ${NAME} is for secrets, addresses and the store")
            return node.text
        if kind is bool:
            if node.text in ("true", "false"):
                return node.text == "true"
        elif (found := number(node.text, whole=kind is int)) is not None:
            return found
        return self.wrong(node, f"needs {_A[kind]}, not {shown(node.text)}")

    def _choice(self, node: Node, allowed: Iterable[str]) -> Any:
        text = self._scalar(node, str)
        names = [str(name) for name in allowed]
        if text is LEFT_OUT or text in names:
            return text
        return self.unlike(node, text, names, f"cannot be {shown(text)}")

    def _list(self, node: Node, kind: Any) -> Any:
        if node.kind != "series" and not node.blank:
            return self.wrong(node, "needs a list: [first, second], or a line with - for each")
        found = []
        for item in node.items:
            value = self.value(item, kind)
            if value is not LEFT_OUT:
                found.append(value)
            if value is LEFT_OUT or item.path in self.partial:
                self.partial.add(node.path)
        return found if found or not node.items else LEFT_OUT

    def _table(self, node: Node, key_kind: Any, kind: Any) -> Any:
        if node.kind != "table" and not node.blank:
            return self.wrong(node, "needs keys below it, each with its value")
        found: dict[str, Any] = {}
        for key, below in node.entries.items():
            value = self.value(below, kind) if self._key(below, key, key_kind) else LEFT_OUT
            if value is not LEFT_OUT:
                found[key] = value
            if value is LEFT_OUT or below.path in self.partial:
                self.partial.add(node.path)
        return found if found or not node.entries else LEFT_OUT

    def _key(self, node: Node, key: str, kind: Any) -> bool:
        """Is this a key that the table takes?"""
        if isinstance(kind, type) and issubclass(kind, Enum):
            names = [str(member.value) for member in kind]
            if key not in names:
                self.unlike(node, key, names, "is not a key here")
                return False
        for extra in get_args(kind)[1:]:
            if isinstance(extra, Shape) and not re.fullmatch(extra.pattern, key):
                self.wrong(node, extra.words)
                return False
        return True

    def _pair(self, node: Node) -> Any:
        if node.kind != "series" or len(node.items) != 2:
            return self.wrong(node, "needs two numbers, the smaller first, such as [50, 500]")
        ends = [self.value(item, float) for item in node.items]
        return LEFT_OUT if LEFT_OUT in ends else tuple(ends)

    # --- the environment --------------------------------------------------------------------------------------------

    def _secret(self, node: Node) -> Any:
        """Nothing that is written here is ever shown."""
        found = environment.REFERENCE.fullmatch(node.text) if node.kind == "text" else None
        if not found:
            what = "has no value" if node.blank else "is a secret, and secrets do not belong in a file"
            return self.wrong(node, f"{what}; {environment.HOW}")
        try:
            return SecretStr(environment.value(found[1], self.environ))
        except environment.Unset as problem:
            return self.wrong(node, str(problem))

    def _from_environment(self, node: Node) -> Any:
        if node.kind != "text" or node.blank:
            return self._scalar(node, str)
        if len(node.text) > LONGEST_ADDRESS:
            return self.wrong(node, f"is longer than {LONGEST_ADDRESS} characters")
        if _WRITTEN_PASSWORD.search(node.text):
            return self.wrong(node, "holds a password, and secrets do not belong in a file; write ${NAME} in its place")
        try:
            return environment.filled(node.text, self.environ)
        except environment.Unset as problem:
            return self.wrong(node, str(problem))

    # --- conditions -------------------------------------------------------------------------------------------------

    def condition(self, node: Node) -> Condition | None:
        """The tree of a condition; None when any part of it is wrong."""
        if node.kind != "table" or not node.entries:
            if node.kind != "broken":
                self.wrong(node, NEEDS_A_TEST)
            return None
        parts = [self._part(key, below) for key, below in node.entries.items()]
        sound = [part for part in parts if part is not None]
        return all_of(sound) if len(sound) == len(parts) else None

    def _part(self, key: str, node: Node) -> Condition | None:
        if key in ("all", "any"):
            return self._several(key, node)
        if key == "not":
            if node.kind == "series":
                self.wrong(node, "takes one condition; for none of several write {not: {any: [first, second]}}")
                return None
            below = self.condition(node)
            return None if below is None else Not(below)
        fact = self.facts.look_up(node.path, key)
        if fact.problem:
            meant = _LOGIC.get(key.casefold())
            hint = f"{key} is written {meant}: [first, second]" if meant else "" if self.faults.full else fact.hint()
            self.wrong(node, fact.problem, hint)
            return None
        test = self._test(node, key, fact)
        return None if test is LEFT_OUT else FieldTest(key, test)

    def _several(self, key: str, node: Node) -> Condition | None:
        if node.kind != "series" or not node.items:
            if node.kind != "broken":
                self.wrong(node, "needs a list of conditions, such as [{country: Norway}, {employees: {at_least: 50}}]")
            return None
        parts = [self.condition(item) for item in node.items]
        sound = tuple(part for part in parts if part is not None)
        if len(sound) < len(parts):
            return None
        return AllOf(sound) if key == "all" else AnyOf(sound)

    def _test(self, node: Node, name: str, fact: Fact) -> Any:
        if node.kind == "broken":
            return LEFT_OUT
        if node.kind == "series":
            return self.wrong(node, f"needs a test; for one of several values write {name}: {{in: [first, second]}}")
        entries = node.entries if node.kind == "table" or node.blank else {"equals": node}
        if not entries:
            return self.wrong(node, f"needs a value or a test: {listed(fact.tests)}")
        data: dict[str, Any] = {}
        bad: set[str] = set()
        for key, below in entries.items():
            value = self._tested(key, below, name, fact)
            if value is LEFT_OUT:
                bad.add(key)
            else:
                data[key] = value
        found = self._built(node, Test, data, bad, entries) if data else LEFT_OUT
        return LEFT_OUT if bad else found

    def _tested(self, key: str, node: Node, name: str, fact: Fact) -> Any:
        """The value a test compares with, as the type of the field wants it."""
        if node.kind == "broken":
            return LEFT_OUT
        if key not in fact.tests:
            known = fact.kind is not None and key in hints(Test)
            problem = f"says nothing about {name}, which is {IS[fact.kind]}" if known and fact.kind else "is no test"
            return self.unlike(node, key, fact.tests, problem)
        if key in ("equals", "is_not"):
            return self._wanted(node, fact)
        if key == "words":
            return self._words(node)
        if key not in ("in", "not_in"):
            return self.value(node, hints(Test)[key][0])
        if node.kind == "series":
            found = [self._wanted(item, fact) for item in node.items]
            return LEFT_OUT if LEFT_OUT in found else found or self.wrong(node, "needs at least one value")
        if fact.kind not in ("text", None) or fact.choices:
            return self.wrong(node, "needs a list, such as [first, second]")
        text = self._scalar(node, str)
        if text is LEFT_OUT or text in NAMED_LISTS:
            return text
        if text in WORD_LISTS:
            return self.wrong(node, f"{text} is a list of words; write {{words: {text}}}")
        groups = [name for name in NAMED_LISTS if not name.startswith("country_")]
        lists = f"{listed(groups)}, and country_ with the two letters of any country"
        country = country_of(text)
        hint = f"did you mean country_{country.lower()}?" if country else did_you_mean(text, groups)
        problem = f"{shown(text)} is no list; write [first, second] or a named list; allowed: {lists}"
        return self.wrong(node, problem, hint)

    def _words(self, node: Node) -> Any:
        """Words and names of lists of words; what is nearly such a name is a slip, not a word in some title."""
        found = self.value(node, hints(Test)["words"][0])
        for word in () if found is LEFT_OUT else found:
            near = nearest(word, WORD_LISTS, cutoff=0.8) if "_" in word and word not in WORD_LISTS else None
            if near is not None:
                return self.wrong(node, f"{shown(word)} is no list of words", f"did you mean {near}?")
            if word in NAMED_LISTS:
                return self.wrong(node, f"{word} is a list of whole values; write {{in: {word}}}")
        return found

    def _wanted(self, node: Node, fact: Fact) -> Any:
        if node.kind == "broken":
            return LEFT_OUT
        if fact.kind == "boolean":
            return self._scalar(node, bool)
        if fact.kind in ("number", "integer"):
            return self._scalar(node, int if fact.kind == "integer" else float)
        text = self._scalar(node, str)
        if text is LEFT_OUT:
            return text
        if fact.kind in ("date", "datetime") and not _is_day(text):
            ways = "for how long ago or ahead write {within: 30d}, {older_than: 30d} or {in_next: 30d}"
            return self.wrong(node, f"needs a day such as 2026-03-31, not {shown(text)}; {ways}")
        if fact.choices:
            meant = fact.choices.get(text.strip().casefold())
            return meant or self.unlike(node, text, fact.choices.values(), f"{shown(text)} never occurs here")
        return text


def _is_day(text: str) -> bool:
    """A day that is in the calendar: not the 31st of February."""
    if not _DAY.fullmatch(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _bare(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind

"""YAML text to a tree of nodes that know their line. Every scalar stays the text that was written.

YAML 1.2 through ruamel.yaml's event parser, narrowed to what a configuration needs (reliability section 3): no tags,
anchors, aliases, merge keys, directives or second document, no key twice, bounded in size, depth and number of
values. What is refused is reported with its line and reading goes on; after a syntax error it goes on with the next
top-level section. What a scalar means (`NO`, `1.10`, `22:22`) is for the schema to say, so nothing is guessed here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from leadbridge.config.faults import Faults

MAX_BYTES = 128 * 1024
"""Ten times a large configuration. The parser is plain Python: this bounds the worst file to about a second."""

MAX_DEPTH = 32
MAX_VALUES = 10_000
MAX_SECTIONS = 100
"""Top-level keys that are looked at one by one after a syntax error."""

Path = tuple[str | int, ...]


@dataclass(slots=True)
class Node:
    """One value of the file. `line` is where its key (or list item) is written, from 1."""

    path: Path
    line: int
    kind: Literal["text", "table", "series", "broken"]
    text: str = ""
    quoted: bool = False
    entries: dict[str, "Node"] = field(default_factory=dict)  # of a table
    items: list["Node"] = field(default_factory=list)  # of a series

    @property
    def blank(self) -> bool:
        """A key with nothing after it."""
        return self.kind == "text" and not self.text and not self.quoted

    def at(self, *path: str | int) -> "Node | None":
        """The node below, or None."""
        node: Node | None = self
        for part in path:
            if node is None:
                return None
            if isinstance(part, int):
                node = node.items[part] if part < len(node.items) else None
            else:
                node = node.entries.get(part)
        return node

    def text_at(self, *path: str | int) -> "Node | None":
        """The node below, where it is text, be it empty; else None."""
        node = self.at(*path)
        return node if node is not None and node.kind == "text" else None

    def below(self, *path: str | int) -> "dict[str, Node]":
        """Entries of the table at this path; none when there is no such table."""
        node = self.at(*path)
        return node.entries if node else {}

    def each(self, *path: str | int) -> "list[Node]":
        """Items of the list at this path; none when there is no such list."""
        node = self.at(*path)
        return node.items if node else []

    def written(self, *path: str | int) -> str | None:
        """The text at this path; None when there is no text."""
        node = self.text_at(*path)
        return node.text if node is not None and not node.blank else None


class _TooMuch(Exception):
    """The file is beyond a bound; reading stops here."""


_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]")
"""Control and direction-changing characters, which show a reader something else than what is there."""

_INDENT = re.compile(r" *([\t\u00a0\u2000-\u200b\u3000])")
_NO_CHARACTER = re.compile(r"\\U(?!000|0010)")
_TOP_LEVEL_KEY = re.compile(r"^[A-Za-z_][\w.-]*[ ]*:(?=\s|$)", re.MULTILINE)


def read(raw: bytes, faults: Faults) -> Node | None:
    """Tree of the file's bytes; None when there is nothing to go on with. What is wrong is added to `faults`."""
    text = _decode(raw, faults)
    if text is None:
        return None
    try:
        return _parse(text, faults)
    except _TooMuch:
        return None


def _decode(raw: bytes, faults: Faults) -> str | None:
    if len(raw) > MAX_BYTES:
        faults.add(0, (), f"is larger than {MAX_BYTES // 1024} KB, which no configuration needs")
        return None
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        faults.add(1, (), "is saved as UTF-16; save it as UTF-8")
        return None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        faults.add(line, (), "has a character that is not UTF-8; save the file as UTF-8")
        return None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    unfit = list(_UNFIT.finditer(text))
    for found in unfit:
        faults.add(_line(text, found.start()), (), f"has an invisible character (U+{ord(found[0]):04X}); remove it")
    return None if unfit else text


def _line(text: str, index: int) -> int:
    return text.count("\n", 0, index) + 1


def _parse(text: str, faults: Faults) -> Node | None:
    try:
        return _Builder(faults).document(_events(text))
    except _Syntax as error:
        return _parse_by_section(text, faults, error)


def _parse_by_section(text: str, faults: Faults, whole: "_Syntax") -> Node | None:
    """Each top-level section on its own: several syntax errors are found at once, and the sound sections are read."""
    tabs = set()
    for number, line in enumerate(text.split("\n"), 1):
        if found := _INDENT.match(line):
            tabs.add(number)
            sign = "a tab" if found[1] == "\t" else "a character that only looks like a space"
            faults.add(number, (), f"is indented with {sign}; use spaces")
    starts = [found.start() for found in _TOP_LEVEL_KEY.finditer(text)]
    ends = [*starts[1:], len(text)]
    explained = bool(tabs)
    root, builder = Node((), 1, "table"), _Builder(faults)
    for start, end in zip(starts, ends, strict=False) if len(starts) <= MAX_SECTIONS else ():
        section = text[start:end]
        above = text.count("\n", 0, start)
        try:
            part = builder.document(_events(section, above), above)
        except _Syntax as error:
            explained = True
            key = section.partition(":")[0].strip()
            builder.enter(root, key, above + 1, Node((key,), above + 1, "broken"))
            if tabs.isdisjoint(range(above + 1, above + section.count("\n") + 2)):
                error.report(faults, text, (key,))
        else:
            for key, node in part.entries.items() if part else ():
                builder.enter(root, key, node.line, node)
    if not explained:
        whole.report(faults, text, ())
    return root if explained and root.entries else None


class _Syntax(Exception):
    """The text is not YAML: at this line, for this reason."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line
        self.problem = problem

    def report(self, faults: Faults, text: str, path: Path) -> None:
        written = "".join(text.splitlines()[self.line - 1 : self.line])
        unquoted = "${" in written and "bracket" in self.problem
        faults.add(self.line, path, self.problem, 'within { } write "${NAME}", in quotes' if unquoted else "")


def _events(text: str, above: int = 0) -> Iterator[Event]:
    """Raises _Syntax; `above` lines of the file come before this text."""
    try:
        yield from YAML(typ="safe", pure=True).parse(text)
    except MarkedYAMLError as error:
        raise _in_plain_words(error, above) from None
    except (OverflowError, ValueError):  # chr() inside the parser, which has no line for it
        found = _NO_CHARACTER.search(text)
        line = above + (_line(text, found.start()) if found else 1)
        raise _Syntax(line, "has an escape beginning with \\U that stands for no character") from None


_SYNTAX = (  # words of ruamel.yaml: ours, and whether the place is where it began (True) or where it showed (False)
    ("could not find expected ':'", "has a key without a colon after it; write key: value", True),
    ("mapping values are not allowed",
     "has a colon where none can be; put text that has a colon in quotes, or mend the indentation", False),
    ("end of stream", "opens a quote that is never closed", True),
    ("document separator", "opens a quote that is never closed", True),
    ("expected ',' or", "opens a bracket that is never closed, or has no comma between two values", True),
    ("expected <block end>", "does not line up with what is above; keys of one block begin in the same column", False),
    ("escape", "has a backslash in double quotes; write it twice, or use single quotes", False),
    ("cannot start any token", "begins a value with a sign that YAML keeps for itself; put the value in quotes", False),
    ("alphabetic or numeric", "begins a value with & or *; put the value in quotes", False),
    ("tag", "begins a value with an exclamation mark; put the value in quotes", False),
    ("URI", "begins a value with an exclamation mark; put the value in quotes", False),
    ("node content", "has a bracket, comma or sign where a value should be", False),
    ("comment or a line break", "has text after | or > on the same line; begin it on the next line", False),
    ("indentation indicators", "has text after | or > on the same line; begin it on the next line", False),
    ("directive", "begins with %; directives are not allowed here", False),
    ("document", "has a second document; one file holds one", False),
)  # fmt: skip


def _in_plain_words(error: MarkedYAMLError, above: int) -> _Syntax:
    """Without the parser's jargon and without its excerpt of the file, which may hold a secret."""
    told = f"{error.context or ''} {error.problem or ''}"
    problem, began = next(
        ((ours, began) for theirs, ours, began in _SYNTAX if theirs in told),
        ("cannot be read as YAML; look at quotes, brackets and indentation here", False),
    )
    mark = (error.context_mark if began else None) or error.problem_mark or error.context_mark
    return _Syntax(above + (mark.line + 1 if mark else 1), problem)


class _Builder:
    """Events to nodes; recursion ends at MAX_DEPTH."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.values = 0
        self.above = 0

    def line(self, event: Event) -> int:
        return int(event.start_mark.line) + 1 + self.above

    def document(self, events: Iterator[Event], above: int = 0) -> Node | None:
        self.above = above
        root: Node | None = None
        for event in events:
            if isinstance(event, DocumentStartEvent):
                if root is not None:
                    self.faults.add(self.line(event), (), "has a second document; one file holds one")
                    break
                if event.version or event.tags:
                    self.faults.add(1, (), "begins with a % directive; remove it")
            elif isinstance(event, NodeEvent):
                root = self.node(event, events, (), self.line(event))
        return root

    def node(self, event: Event, events: Iterator[Event], path: Path, line: int) -> Node:
        self.values += 1
        if self.values > MAX_VALUES:
            self.faults.add(line, (), f"has more than {MAX_VALUES} values, which no configuration needs")
            raise _TooMuch
        if len(path) > MAX_DEPTH:
            self.faults.add(line, (), f"is nested more than {MAX_DEPTH} deep here")
            raise _TooMuch
        problem = _refused(event)
        node = Node(path, line, "broken")
        if isinstance(event, ScalarEvent):
            node = Node(path, line, "text", event.value, quoted=event.style is not None)
            if _UNFIT.search(event.value):
                problem = "has an escape for an invisible character; remove it"
        elif isinstance(event, SequenceStartEvent):
            node = Node(path, line, "series")
            while not isinstance(below := next(events), SequenceEndEvent):
                here = (*path, len(node.items))
                node.items.append(self.node(below, events, here, self.line(below)))
        elif isinstance(event, MappingStartEvent):
            node = Node(path, line, "table")
            while not isinstance(key := next(events), MappingEndEvent):
                self.entry(node, key, events)
        if problem:
            self.faults.add(self.line(event), path, problem)
            node.kind = "broken"
        return node

    def entry(self, table: Node, event: Event, events: Iterator[Event]) -> None:
        line = self.line(event)
        if not isinstance(event, ScalarEvent):
            self.faults.add(line, table.path, _refused(event) or "has a key that is not a word")
            nowhere = (*table.path, "?")
            self.node(event, events, nowhere, line)
            self.node(next(events), events, nowhere, line)
            return
        problem = _refused(event)
        if event.value == "<<" and event.style is None:
            problem = "merges another place by <<; write the keys out instead"
        elif not event.value or _UNFIT.search(event.value):
            problem = "has a key that is not a word"
        below = self.node(next(events), events, (*table.path, event.value), line)
        if problem:
            self.faults.add(line, table.path, problem)
        else:
            self.enter(table, event.value, line, below)

    def enter(self, table: Node, key: str, line: int, below: Node) -> None:
        first = table.entries.setdefault(key, below)
        if first is not below:
            self.faults.add(line, below.path, f"is written twice: here and on line {first.line}; keep one")


def _refused(event: Event) -> str:
    if isinstance(event, AliasEvent):
        return "repeats another place by *name; write the value out instead"
    if getattr(event, "anchor", None):
        return "is given a name by &name; remove the & and its name"
    if getattr(event, "ctag", None):
        return "has a tag beginning with an exclamation mark; remove it, or put the text in quotes"
    return ""

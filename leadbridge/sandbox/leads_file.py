"""Real leads from a CSV file, by a mapping that says what each column means.

Real data for trying things out: nothing of it is kept anywhere but in the stand-ins. The mapping (YAML):

    email: "lead-{Lead Number}@example.invalid"   # template over the columns; must make every address once
    created: {order_by: Lead Number, spread: 180d}     # no dates: spread by rank over the days before now
    # or    {date: first_contact_date, shift: true}    # a date column; shift moves the newest to now
    empty: [Select]                                # values that mean "nothing"; "" always does
    columns:                                       # column: property of HubSpot
      Country: country
      Lead Source: {property: hs_lead_source, type: enumeration, label: Lead source}
      TotalVisits: {activity: page_view, count: true, url: "https://…/", title: Website}  # as many as it says
      landing_page: {activity: form_submitted, when: created}                    # one, if there is a value
      Last Activity: {words: {Email Opened: email_opened, SMS Sent: null}}       # one per word; null: none
    consent:
      Do Not Email: {opted_out: "Yes"}             # or a list of values
    outcome: Converted                             # kept aside, never loaded
    ignore: [Magazine]                             # known and of no use
    never_use: [Tags]                              # must not be mapped; an error if they are

Everything wrong is reported at once, with file and line.
"""

import csv
import gzip
import re
import string
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, TextIO

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from leadbridge.sandbox.population import (
    DEMO_JOURNEYS,
    Person,
    Population,
    Subscription,
    Touch,
    counters,
    custom_property,
)

KEYS = ("email", "created", "empty", "columns", "consent", "outcome", "ignore", "never_use")
TYPES = ("string", "number", "enumeration", "bool")
SPECS: dict[str, type] = {  # what a column may say, and as what
    "property": str,
    "type": str,
    "label": str,
    "activity": str,
    "count": bool,
    "when": str,
    "url": str,
    "title": str,
    "at_most": int,
    "words": dict,
}
WHEN = ("recently", "created")
TRUTH = {"yes": "true", "true": "true", "1": "true", "no": "false", "false": "false", "0": "false"}
# Properties every HubSpot account has, as far as files are likely to name them; others are defined as custom ones.
STOCK = {
    "address", "annualrevenue", "city", "company", "country", "firstname", "hs_analytics_source", "hs_lead_status",
    "industry", "jobtitle", "lastname", "lifecyclestage", "phone", "state", "website", "zip",
}  # fmt: skip
CAMPAIGN = 1
FORM = "Website form"
WITHIN = timedelta(days=30)  # activity without a date happened in this time before now, or since creation if later
_URL = "https://www.sandbox.example/"


class LeadsFileError(ValueError):
    """The mapping or the data cannot be used; every fault is a line of the message."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def _email(event: str) -> Callable[[datetime], Touch]:
    detail = {"event": event, "campaign": CAMPAIGN} | ({"url": _URL} if event == "CLICK" else {})
    return lambda at: Touch("email", at, detail)


def _engagement(kind: str, **properties: str) -> Callable[[datetime], Touch]:
    return lambda at: Touch("engagement", at, {"object": kind, "properties": properties})


# What a word of a `words` table, or `activity:`, can name.
ACTIVITIES: dict[str, Callable[[datetime], Touch]] = {
    "page_view": lambda at: Touch("page_view", at, {"url": _URL, "title": "Website"}),
    "form_submitted": lambda at: Touch("form", at, {"form": FORM, "url": _URL}),
    "email_sent": _email("SENT"),
    "email_opened": _email("OPEN"),
    "email_clicked": _email("CLICK"),
    "email_bounced": _email("BOUNCE"),
    "call": _engagement("calls", hs_call_title="Call", hs_call_direction="OUTBOUND", hs_call_status="COMPLETED"),
    "meeting": _engagement("meetings", hs_meeting_title="Meeting", hs_meeting_outcome="COMPLETED"),
    "chat": _engagement("communications", hs_communication_channel_type="WHATS_APP", hs_communication_body="Chat"),
}


@dataclass(slots=True)
class Column:
    """What one column becomes."""

    name: str
    line: int
    property: str | None = None
    type: str = "string"
    label: str = ""
    activity: str | None = None
    count: bool = False  # the value is how often, not whether
    when: str = "recently"
    url: str = _URL
    title: str = "Website"
    at_most: int = 1000
    words: dict[str, str | None] = field(default_factory=dict)


@dataclass(slots=True)
class Plan:
    """The mapping file, understood."""

    email: str
    columns: list[Column]
    order_by: str | None = None
    spread: timedelta = timedelta(days=180)
    date: str | None = None
    shift: bool = False
    empty: frozenset[str] = frozenset()
    opted_out: dict[str, frozenset[str]] = field(default_factory=dict)  # column: values that mean "do not mail"
    outcome: str | None = None


# --- the mapping -------------------------------------------------------------------------------------------------


class _Reader:
    """Reads the mapping and collects what is wrong with it."""

    def __init__(self, path: Path, header: list[str]) -> None:
        self._name = path.name
        self._header = set(header)
        self._found: list[tuple[int, str]] = []
        try:
            self._raw = YAML().load(path.read_text(encoding="utf-8"))
        except YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            self._say(f"not readable as YAML: {getattr(error, 'problem', error)}", mark.line + 1 if mark else 1)
            self._raw = None
        if not isinstance(self._raw, CommentedMap):
            if not self._found:
                self._say("must be a mapping of keys to values", 1)
            raise self._faults()

    def _say(self, what: str, line: int) -> None:
        self._found.append((line, what))

    def _faults(self) -> LeadsFileError:
        return LeadsFileError([f"{self._name}:{line}: {what}" for line, what in sorted(self._found)])

    def _line(self, of: Any, key: Any) -> int:
        try:
            return int(of.lc.key(key)[0]) + 1
        except (AttributeError, KeyError, TypeError):
            return 1

    def read(self) -> Plan:
        raw = self._raw
        for key in raw:
            if key not in KEYS:
                self._say(f"unknown key {key!r}; known: {', '.join(KEYS)}", self._line(raw, key))
        mapping = Plan(email=self._template(raw), columns=self._columns(raw.get("columns") or {}))
        self._created(raw, mapping)
        mapping.empty = frozenset(str(value) for value in raw.get("empty") or ())
        for name, spec in (raw.get("consent") or {}).items():
            line = self._line(raw["consent"], name)
            self._known(name, line)
            if not isinstance(spec, dict) or set(spec) != {"opted_out"}:
                self._say(f"consent of {name!r} must be {{opted_out: VALUE or list}}", line)
            else:
                values = spec["opted_out"] if isinstance(spec["opted_out"], list) else [spec["opted_out"]]
                mapping.opted_out[name] = frozenset(map(str, values))
        if raw.get("outcome"):
            mapping.outcome = str(raw["outcome"])
            self._known(mapping.outcome, self._line(raw, "outcome"))
        self._unused(raw, mapping)
        if self._found:
            raise self._faults()
        return mapping

    def _known(self, column: str, line: int) -> None:
        if column not in self._header:
            self._say(f"the data has no column {column!r}", line)

    def _template(self, raw: CommentedMap) -> str:
        template, line = str(raw.get("email") or ""), self._line(raw, "email")
        names = [name for _, name, _, _ in string.Formatter().parse(template) if name]
        if not names:
            self._say("email must be a template such as 'lead-{Number}@example.invalid'", line)
        for name in names:
            self._known(name, line)
        return template

    def _created(self, raw: CommentedMap, mapping: Plan) -> None:
        spec, line = raw.get("created") or {}, self._line(raw, "created")
        if not isinstance(spec, dict) or len({"order_by", "date"} & set(spec)) != 1:
            self._say("created needs either order_by: COLUMN or date: COLUMN", line)
            return
        if unknown := set(spec) - {"order_by", "spread", "date", "shift"}:
            self._say(f"created: unknown key {', '.join(sorted(unknown))}", line)
        self._known(str(spec.get("order_by") or spec.get("date")), line)
        mapping.order_by, mapping.date, mapping.shift = spec.get("order_by"), spec.get("date"), bool(spec.get("shift"))
        if "spread" in spec:
            days = re.fullmatch(r"(\d+)d", str(spec["spread"]))
            if days:
                mapping.spread = timedelta(days=int(days[1]))
            else:
                self._say(f"created: spread must be days such as 180d, not {spec['spread']!r}", line)

    def _columns(self, raw: Any) -> list[Column]:
        if not isinstance(raw, CommentedMap) or not raw:
            self._say("columns must map columns of the data to properties", self._line(self._raw, "columns"))
            return []
        return [self._column(str(name), spec, self._line(raw, name)) for name, spec in raw.items()]

    def _column(self, name: str, spec: Any, line: int) -> Column:
        self._known(name, line)
        if isinstance(spec, str):
            return Column(name, line, property=spec)
        if not isinstance(spec, dict) or not {"property", "activity", "words"} & set(spec):
            self._say(f"{name!r} must become a property, an activity or words", line)
            return Column(name, line)
        for key, value in spec.items():
            if key not in SPECS:
                self._say(f"{name!r}: unknown {key}; known: {', '.join(SPECS)}", line)
            elif not isinstance(value, SPECS[key]):
                self._say(f"{name!r}: {key} must be of type {SPECS[key].__name__}, not {value!r}", line)
        fit: dict[str, Any] = {
            key: value for key, value in spec.items() if key in SPECS and isinstance(value, SPECS[key])
        }
        column = Column(name, line, **fit)
        for key, value, allowed in (("type", column.type, TYPES), ("when", column.when, WHEN)):
            if value not in allowed:
                self._say(f"{name!r}: {key} {value!r} is none of {', '.join(allowed)}", line)
        column.words = {str(word): kind for word, kind in column.words.items()}
        for kind in {*column.words.values(), column.activity} - {None}:
            if kind not in ACTIVITIES:
                self._say(f"{name!r}: {kind!r} is none of {', '.join(ACTIVITIES)}", line)
        return column

    def _unused(self, raw: CommentedMap, mapping: Plan) -> None:
        """Columns that must not be used, and columns nobody has decided about."""
        used = {column.name: column.line for column in mapping.columns}
        used |= {name: self._line(raw, "consent") for name in mapping.opted_out}
        never = [str(name) for name in raw.get("never_use") or ()]
        for name in never:
            self._known(name, self._line(raw, "never_use"))
            if name in used:
                self._say(f"{name!r} is under never_use and must not be mapped", used[name])
        decided = {*used, *never, *map(str, raw.get("ignore") or ()), mapping.outcome, mapping.order_by, mapping.date}
        in_email = {name for _, name, _, _ in string.Formatter().parse(mapping.email) if name}
        if undecided := sorted(self._header - decided - in_email):
            names = ", ".join(map(repr, undecided))
            self._say(f"columns nobody decided about (map them, or list them under ignore or never_use): {names}", 1)


# --- the data ----------------------------------------------------------------------------------------------------


def read(path: Path | str, mapping_path: Path | str, now: datetime, limit: int | None = None) -> Population:
    """The leads of a CSV file (plain or .gz), the oldest first; with ``limit``, the newest of them.

    `Population.outcomes` holds the outcome by address; it is never loaded. `Population.remarks` counts what was odd
    about the data. Raises `LeadsFileError` with every fault of the mapping, or of the addresses it makes, and when
    one of the files cannot be read.
    """
    path, mapping_path = Path(path), Path(mapping_path)
    try:
        with _opened(path) as text:
            rows = csv.DictReader(text)
            mapping = _Reader(mapping_path, list(rows.fieldnames or ())).read()
            leads = _Leads(mapping, now, path.name)
            leads.take(rows)
    except UnicodeDecodeError:
        raise LeadsFileError([f"{path.name} or {mapping_path.name} is not text in UTF-8"]) from None
    except (OSError, EOFError, zlib.error, csv.Error) as error:  # a broken .gz is any of the first three
        name = Path(getattr(error, "filename", None) or path).name
        raise LeadsFileError([f"{name} cannot be read: {getattr(error, 'strerror', None) or error}"]) from None
    return leads.population(limit)


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


class _Leads:
    """Rows on their way to people."""

    def __init__(self, mapping: Plan, now: datetime, name: str) -> None:
        self._mapping, self._now, self._name = mapping, now.replace(microsecond=0), name
        self._rows: list[tuple[Any, int, dict[str, str]]] = []  # sort key, line, row
        self._odd: Counter[str] = Counter()
        self._options: dict[str, Counter[str]] = {}

    def take(self, rows: "csv.DictReader[str]") -> None:
        mapping = self._mapping
        key_column = mapping.date or mapping.order_by or ""
        for row in rows:
            line = rows.line_num
            if None in row or None in row.values():
                self._odd[f"{self._name}: rows with another number of columns than the header, left out"] += 1
                continue
            key = _day(row[key_column]) if mapping.date else _number(row[key_column])
            if key is None:
                self._odd[f"{self._name}: rows without a readable {key_column!r}, left out"] += 1
                continue
            self._rows.append((key, line, row))
        self._rows.sort(key=lambda entry: (entry[0], entry[1]))

    def population(self, limit: int | None) -> Population:
        found = Population(self._now, journeys=DEMO_JOURNEYS, forms=[FORM])
        first = len(self._rows) - limit if limit is not None and limit < len(self._rows) else 0
        faults: list[str] = []
        seen: dict[str, int] = {}
        for rank, (key, line, row) in enumerate(self._rows[first:]):
            person = self._person(row, self._created(rank, len(self._rows) - first, key))
            if person.email in seen:
                faults.append(f"{self._name}:{line}: the address {person.email} was made in line {seen[person.email]}")
            seen[person.email] = line
            found.contacts.append(person)
            if self._mapping.outcome is not None:
                found.outcomes[person.email] = row[self._mapping.outcome]
        if faults:
            raise LeadsFileError(faults)
        found.properties = list(self._definitions())
        found.remarks = [f"{what}: {count}" for what, count in sorted(self._odd.items())]
        return found

    def _created(self, rank: int, count: int, key: Any) -> datetime:
        mapping = self._mapping
        if mapping.date is None:
            return (self._now - mapping.spread * ((count - rank) / count)).replace(microsecond=0)
        newest: datetime = self._rows[-1][0]
        shift = self._now - timedelta(days=1) - newest if mapping.shift else timedelta(0)
        at: datetime = key + shift
        return min(at.replace(microsecond=0), self._now)

    def _person(self, row: Mapping[str, str], created: datetime) -> Person:
        mapping = self._mapping
        email = re.sub(r"\s+", "-", mapping.email.format(**row)).lower()
        properties = {"email": email}
        touches: list[Touch] = []
        for column in mapping.columns:
            value = row[column.name].strip()
            if not value or value in mapping.empty:
                continue
            if column.property is not None and (text := self._value(column, value)) is not None:
                properties[column.property] = text
            touches += self._touches(column, value, email, created)
        out = any(row[name].strip() in values for name, values in mapping.opted_out.items())
        if out:
            properties["hs_email_optout"] = "true"
        touches.sort(key=lambda touch: touch.at)
        return Person(
            properties | counters(touches),
            created,
            touches[-1].at if touches else created,
            subscription=Subscription("unsubscribed" if out else "subscribed", created, by_person=out),
            touches=tuple(touches),
        )

    def _value(self, column: Column, value: str) -> str | None:
        if column.type == "number":
            if (number := _number(value)) is None:
                self._odd[f"{column.name}: values that are no number, left empty"] += 1
                return None
            return f"{number:g}"
        if column.type == "bool":
            if (truth := TRUTH.get(value.lower())) is None:
                self._odd[f"{column.name}: values that are neither yes nor no, left empty"] += 1
            return truth
        if column.type == "enumeration":
            self._options.setdefault(column.name, Counter())[value] += 1
        return value

    def _touches(self, column: Column, value: str, email: str, created: datetime) -> Iterator[Touch]:
        if column.words:
            if value not in column.words:
                self._odd[f"{column.name}: words without a meaning in the mapping ({value!r})"] += 1
            elif (kind := column.words[value]) is not None:
                yield ACTIVITIES[kind](self._when(email, column, 0, created))
        if column.activity is not None:
            count = _number(value) if column.count else 1
            if count is None or count < 0:
                self._odd[f"{column.name}: values that are no count, taken as none"] += 1
                return
            if count > column.at_most:
                self._odd[f"{column.name}: counts above {column.at_most}, cut"] += 1
            for number in range(min(int(count), column.at_most)):
                touch = ACTIVITIES[column.activity](self._when(email, column, number, created))
                if touch.kind == "page_view":
                    touch = Touch(touch.kind, touch.at, {"url": column.url, "title": column.title})
                yield touch

    def _when(self, email: str, column: Column, number: int, created: datetime) -> datetime:
        """Creation, or an instant between it and now, not more than `WITHIN` ago; the same in every run."""
        if column.when == "created":
            return created
        start = max(created, self._now - WITHIN)
        share = int.from_bytes(sha256(f"{email} {column.name} {number}".encode()).digest()[:6]) / 2**48
        return (start + (self._now - start) * share).replace(microsecond=0)

    def _definitions(self) -> Iterator[dict[str, Any]]:
        made: dict[str, list[str]] = {}
        specs: dict[str, Column] = {}
        for column in self._mapping.columns:
            if column.property is not None and column.property not in STOCK:
                specs.setdefault(column.property, column)
                made.setdefault(column.property, []).extend(sorted(self._options.get(column.name, ())))
        for name, column in specs.items():
            yield custom_property(name, column.label or column.name, column.type, list(dict.fromkeys(made[name])))


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < 1e15 else None  # also no nan, no inf


def _day(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)

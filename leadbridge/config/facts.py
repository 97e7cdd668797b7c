"""What a condition may look at, in each part of the file, read off the tree before anything is built from it.

The order of working (sync.rescore) decides: personas see a person's own fields; rules see personas too; stages see
scores too; the buyer's
journey sees the stage too; journeys and segments see everything. Fields worked out from behaviour are a person's own.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import get_args

from leadbridge.config.behaviour import TYPES as BEHAVIOUR_TYPES
from leadbridge.config.conditions import test_names
from leadbridge.config.document import Node, Path
from leadbridge.config.fields import FieldType
from leadbridge.config.hand_off import STANDINGS
from leadbridge.config.questions import STATES, question_facts
from leadbridge.config.schema import BUILT_IN_FIELDS, attributes, facts, of_company, of_scores, values
from leadbridge.config.wording import did_you_mean, listed
from leadbridge.types import BuyerJourney, LifecycleStage

RESERVED = ("all", "any", "not", "stage", "buyer_journey", "segment", "persona", "completeness", *BUILT_IN_FIELDS)
"""Words that a field of one's own cannot be called."""


IS = {
    "text": "a text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "date": "a date",
    "datetime": "a date",
}
_SAME = ("equals", "is_not", "in", "not_in", "present")
_COMPARED = (*_SAME, "at_least", "at_most", "above", "below", "between")
_DATED = (*_SAME, "within", "older_than", "in_next")
_TESTS = {
    "text": (*_SAME, "words", "contains", "starts_with", "ends_with", "matches"),
    "number": _COMPARED,
    "integer": _COMPARED,
    "boolean": ("equals", "is_not", "present"),
    "date": _DATED,
    "datetime": _DATED,
}


@dataclass(frozen=True, slots=True)
class Fact:
    """What is known of a name in a condition."""

    kind: str | None = None  # type of the value; None: not known, so any test may be right
    choices: Mapping[str, str] = field(default_factory=dict)  # every value it can have, by its folded spelling
    problem: str = ""  # why it cannot stand here
    hint: Callable[[], str] = lambda: ""
    segment: bool = False

    @property
    def tests(self) -> tuple[str, ...]:
        """Tests that make sense of it."""
        if self.segment:  # a person may be in several, so that "is not" has no plain meaning (nurture.segments)
            return ("equals", "in")
        if self.choices:
            return _SAME
        return _TESTS[self.kind] if self.kind else tuple(test_names())


class Facts:
    """Names and types as the tree declares them; what is declared wrongly is there, without a type."""

    def __init__(self, tree: Node) -> None:
        types = get_args(FieldType)
        declared = {name: node.written("type") or "text" for name, node in tree.below("fields").items()}
        self.scores = {name: tuple(node.below("categories")) for name, node in tree.below("scores").items()}
        self.personas = tuple(tree.below("personas"))
        self.behaviour = {
            name: BEHAVIOUR_TYPES.get(node.written("take") or "", "number")
            for name, node in tree.below("behaviour").items()
        }
        declared |= self.behaviour
        self.questions = tuple(tree.below("questions"))
        self.of_questions = attributes(declared)
        declared |= question_facts(self.questions)
        self.attributes = attributes(declared)
        self.of_rules = attributes(declared, self.personas)
        self.company = tuple(name for name in tree.below("company", "scores") if name in self.scores)
        self.all = facts(declared, self.scores, self.personas, self.company)
        self.values = values(self.scores, self.personas, self.behaviour, asks=bool(self.questions))
        self._untyped = {name for name, kind in declared.items() if kind not in types}
        self._choices: dict[str, dict[str, str]] = {
            "lifecycle_stage": _folded(LifecycleStage),  # the CRM's, in our words
            "stage": _folded(LifecycleStage),
            "buyer_journey": _folded(BuyerJourney),
            "segment": _folded(tree.below("segments")),
            "hand_off": _folded(STANDINGS),
        }
        self._choices |= {f"known.{name}": _folded(STATES) for name in self.questions}
        if self.personas:
            self._choices["persona"] = _folded(self.personas)
        for name, node in tree.below("scores").items():
            if not _unreadable(node.at("grades")):
                self._choices[f"grade.{name}"] = _folded(node.below("grades"))
            self._choices[f"matrix.{name}"] = _cells(node)
        # Names of a section that could not be read are not known, so nothing about them can be called wrong.
        self._open = tuple(
            key
            for key in ("fields", "behaviour", "questions", "personas", "scores", "company", "segments")
            if _unreadable(tree.at(key))
        )
        if "segments" in self._open:
            del self._choices["segment"]
        self._by_part: dict[tuple[str, str], dict[str, str]] = {}
        self._half_read = {name for name, node in tree.below("scores").items() if _unreadable(node.at("categories"))}

    @property
    def scores_unsure(self) -> bool:
        """Could there be scores, categories or personas that were not read?"""
        return "personas" in self._open or "scores" in self._open or bool(self._half_read)

    def look_up(self, path: Path, name: str) -> Fact:
        """What `name` is in the condition at this path."""
        if path[0] in ("behaviour", "measurement") or (
            path[0] == "scores" and "where" in (path[4:5] + path[5:6] if path[4:5] == ("sequence",) else path[4:5])
        ):
            return Fact()  # an activity's own values: whatever its source sends
        allowed = self._allowed(str(path[0]), str(path[1]))
        if name in allowed:
            return self._known(name, allowed[name])
        if self._unsure(name):
            return Fact()
        if name in self.all:
            what = {
                "consent": "is worked out from what is scored, and consent comes before",
                "questions": "is worked out after the questions, so that a question cannot look at it",
                "personas": "is worked out after the personas, so that a persona cannot look at it",
                "scores": "is worked out from these rules, so that a rule cannot look at it",
                "stages": "is worked out after the stages, so that a stage cannot look at it",
            }.get(str(path[0]), "is what this decides, so that it cannot look at it")
            return Fact(problem=f"{what}; it may look at: {listed(allowed)}")
        if name.partition(".")[0] in ("score", "grade", "matrix") and name in self.values:
            return Fact(problem=f"is not a field; say of which score, such as {_of_which(name, self.scores)}")
        return Fact(problem=f"is not a field; there is: {listed(allowed)}", hint=lambda: did_you_mean(name, allowed))

    def _allowed(self, part: str, of: str) -> dict[str, str]:
        """What conditions in this part of the file may look at; `of`: the key below, such as the name of a score."""
        key = part, of if part == "scores" else ""
        if key not in self._by_part:
            later = {"stages": ("stage", "buyer_journey"), "buyer_journey": ("buyer_journey",)}.get(part, ())
            seen = {
                "consent": self.attributes,
                "questions": self.of_questions,
                "company": self.of_rules,
                "personas": self.attributes,
                "scores": self.of_rules,
            }.get(part, self.all)
            if part == "scores":  # a score may take the others up, never itself; `whole` refuses circles
                seen = seen | of_scores({name: parts for name, parts in self.scores.items() if name != of})
                seen |= of_company(name for name in self.company if name != of)
            self._by_part[key] = {fact: kind for fact, kind in seen.items() if fact not in later}
        return self._by_part[key]

    def _known(self, name: str, kind: str) -> Fact:
        if name in self._untyped:
            return Fact()
        choices = self._choices.get(name, {})
        if choices or name not in self._choices:
            return Fact(kind, choices, segment=name == "segment")
        what = "there are no segments" if name == "segment" else f"this score has no {name.partition('.')[0]}"
        return Fact(problem=f"can have no value: {what}")

    def _unsure(self, name: str) -> bool:
        if name.startswith(("score.", "grade.", "matrix.", "company.")):
            return "scores" in self._open or any(name.startswith(f"score.{score}.") for score in self._half_read)
        return (
            bool({"fields", "behaviour"}.intersection(self._open))
            or ("personas" in self._open and name.partition(".")[0] == "persona")
            or ("questions" in self._open and (name.partition(".")[0] == "known" or name == "completeness"))
        )


def _folded(words: Iterable[str]) -> dict[str, str]:
    return {str(word).casefold(): str(word) for word in words}


def _cells(score: Node) -> dict[str, str]:
    """Letter and figure of each cell of a score's matrix; none without one."""
    matrix = score.at("matrix")
    if matrix is None:
        return {}
    figures = matrix.below("figures") or ("1", "2", "3")
    return _folded(f"{letter}{figure}" for letter in score.below("grades") for figure in figures)


def _of_which(name: str, scores: Iterable[str]) -> str:
    first = next(iter(scores), "lead")
    head, _, tail = name.partition(".")
    return f"{head}.{first}.{tail}" if tail else f"{head}.{first}"


def _unreadable(node: Node | None) -> bool:
    return node is not None and node.kind != "table" and not node.blank

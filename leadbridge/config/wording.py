"""Plain words for what is wrong with a file: lists of what is allowed, nearest spellings. Shows no secret."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

from pydantic_core import ErrorDetails

LONGEST_WORD = 64
"""Spelling is compared up to here; beyond it a word is no slip of the keyboard, and comparing takes for ever."""

MANY_WORDS = 100

_SECRET = re.compile(
    r"""pat-\w{2,3}\d*-            # HubSpot
    | -us\d+\b                     # Mailchimp
    | \b(sk|xox[a-z]|gh[a-z])[_-]  # others that people paste
    | [0-9a-f]{16,}                # digests and random hex
    | ://[^/\s]*:[^/\s]*@          # password in an address""",
    re.VERBOSE | re.IGNORECASE,
)
_LONG_WORD = re.compile(r"[A-Za-z0-9+/=~-]{20,}")


def secret_like(text: str) -> bool:
    """Does some part of the text look like a key, a token or a password in an address?"""
    if _SECRET.search(text):
        return True
    words = _LONG_WORD.findall(text)
    return any(sum(map(str.isdigit, word)) >= 4 and not word.isdigit() for word in words)


def shown(text: str, longest: int = 40) -> str:
    """The text in quotes, cut to a length; something that looks like a secret is not shown (reliability G26)."""
    if secret_like(text[:500]):
        return "what is written here (not shown: it looks like a secret)"
    return repr(text if len(text) <= longest else text[: longest - 1] + "…")


def listed(names: Iterable[str], most: int = 40) -> str:
    """ "a, b, c", and how many more."""
    every = list(names)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def nearest(word: str, allowed: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The allowed word most like this one, or None when none is like it."""

    def key(text: str) -> str:
        return text[:LONGEST_WORD].casefold().replace("-", "_").replace(" ", "_")

    if not word or len(word) > LONGEST_WORD:
        return None
    names = list(allowed)
    if len(names) > MANY_WORDS:  # comparing with every one takes too long, and few slips are in the first letter
        names = [name for name in names if name[:1].casefold() == word[:1].casefold()][:MANY_WORDS]
    spellings = {key(name): name for name in names}
    found = get_close_matches(key(word), spellings, n=1, cutoff=cutoff)
    return spellings[found[0]] if found else None


def did_you_mean(word: str, allowed: Iterable[str], cutoff: float = 0.6) -> str:
    """Hint with the nearest spelling; empty when there is none."""
    found = nearest(word, allowed, cutoff)
    return f"did you mean {found}?" if found is not None else ""


def path_text(path: Iterable[str | int]) -> str:
    """("scores", "lead", "rules", 3) as "scores.lead.rules[3]"; the empty path is the file itself."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = "…" if len(part) > LONGEST_WORD or not part.isprintable() or secret_like(part) else part
            text += f".{name}" if text else name
    return text or "the file"


_WORDS = {
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "string_too_short": "must not be empty",
    "string_too_long": "must not be longer than {max_length} characters",
    "too_short": "needs at least one entry",
    "finite_number": "must be a number with an end",
}


def in_words(error: ErrorDetails) -> str:
    """What pydantic found wrong, without its jargon and without the value."""
    context = error.get("ctx", {})
    if "error" in context:  # a ValueError of the schema's own, already in plain words
        return str(context["error"])
    if "problem" in context:  # `kinds.across`
        return str(context["problem"])
    words = _WORDS.get(error["type"])
    return words.format(**context) if words else "is not what belongs here"

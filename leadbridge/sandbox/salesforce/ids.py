"""Record ids: 15 characters that know case, or 18 that survive its loss (vendor page, sections 2.1 and 9)."""

import re
from string import ascii_lowercase, ascii_uppercase, digits

_DIGITS = digits + ascii_uppercase + ascii_lowercase  # in the order of text, so that later ids sort later
_SUFFIX = ascii_uppercase + "012345"
_ID = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?", re.ASCII)
_POD = "5500000"


def full(short: str) -> str:
    """The 18 characters of a 15-character id: one more for the upper-case letters of each group of five."""
    groups = (short[n : n + 5] for n in range(0, 15, 5))
    return short + "".join(_SUFFIX[sum(1 << i for i, c in enumerate(g) if c.isupper())] for g in groups)


def read(given: object) -> str | None:
    """The 18-character form of an id in any of its spellings; None for what is no id."""
    if not isinstance(given, str) or not _ID.fullmatch(given):
        return None
    if len(given) == 15:
        return full(given)
    restored = ""
    for n, letter in enumerate(given[15:].upper()):
        bits = _SUFFIX.find(letter)
        if bits < 0:
            return None
        group = given[5 * n : 5 * n + 5]
        restored += "".join(c.upper() if bits >> i & 1 else c.lower() for i, c in enumerate(group))
    found = full(restored)
    return found if found.upper() == given.upper() else None


def make(prefix: str, number: int) -> str:
    """The id of the ``number``-th thing with a key prefix."""
    text = ""
    while number:
        number, rest = divmod(number, 62)
        text = _DIGITS[rest] + text
    return full(prefix + _POD + text.rjust(5, "0"))

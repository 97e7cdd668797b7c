"""Regular expressions of `matches:`, in time linear in the text whatever the pattern (RE2, google-re2).

Python's own engine takes for ever on patterns such as `(a+)+$`; RE2 has no look-around and no back-references, and in
return no text that a lead writes can stop the scoring (https://github.com/google/re2/wiki/WhyRE2).
"""

import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

LONGEST_PATTERN = 500

_SIZE = 1 << 20
"""Bytes one compiled pattern may take; `(\\pL{100}){10}` and its like are refused rather than built."""


def searcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """A function that says whether any pattern is found anywhere in a text, without regard to case.

    Raises ValueError, in words for whoever wrote it, for a pattern that is empty, too long or too large, or that RE2
    does not know.
    """
    found = [_compiled(pattern).search for pattern in patterns]

    def search(text: str) -> bool:
        raw = text.encode("utf-8", "replace")  # RE2 reads UTF-8; half a surrogate pair, which has none, becomes "?"
        return any(one(raw) is not None for one in found)

    return search


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Any:
    import re2  # read late: most files have no pattern

    if not pattern.strip():
        raise ValueError("is an empty pattern, which every text has; for any known value write present: true")
    if len(pattern) > LONGEST_PATTERN:
        raise ValueError(f"is a pattern longer than {LONGEST_PATTERN} characters; write several, as a list")
    options = re2.Options()
    options.case_sensitive = False
    options.never_capture = True
    options.log_errors = False
    options.max_mem = _SIZE
    try:
        return re2.compile(unicodedata.normalize("NFC", pattern).encode(), options=options)
    except UnicodeEncodeError:
        raise ValueError("is no pattern: it holds half a character") from None
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace") if error.args else "it cannot be read"
        more = "; look-ahead, look-behind and back-references are not there (RE2), so that it always ends"
        known = reason.startswith(("invalid perl operator", "invalid escape"))
        raise ValueError(f"is no pattern: {reason}{more if known else ''}") from None

"""Salesforce's record ids; light enough for the door to import. Source: vendors/salesforce.md section 2.1."""

_SUFFIXES = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def long_id(text: str) -> str | None:
    """An id in its 18 characters, which survive changes of case; None when it is none (section 2.1)."""
    text = text.strip()
    if len(text) not in (15, 18) or not text.isascii() or not text.isalnum():
        return None
    parts = [text[n : n + 5] for n in (0, 5, 10)]
    sums = (sum(1 << bit for bit, letter in enumerate(part) if letter.isupper()) for part in parts)
    suffix = "".join(_SUFFIXES[one] for one in sums)
    return text[:15] + suffix if len(text) == 15 or text[15:] == suffix else None

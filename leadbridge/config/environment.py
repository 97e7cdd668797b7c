"""`${NAME}` in the file: values that come from the environment, or from a file that `NAME_FILE` names.

No message of this module holds a value; it names variables only (reliability G26).
"""

import re
from collections.abc import Mapping
from pathlib import Path

from leadbridge.config.wording import did_you_mean

REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""How a variable is named in the file."""

MAX_BYTES = 64 * 1024
"""Of a file that holds one secret."""

HOW = "write ${NAME} here, and set the variable NAME (or NAME_FILE, the name of a file that holds it)"


class Unset(ValueError):
    """A variable cannot be read; the text says which and what to do."""


def value(name: str, environ: Mapping[str, str]) -> str:
    """Value of a variable, without spaces and line ends around it. Raises Unset."""
    direct, by_file = environ.get(name), environ.get(f"{name}_FILE")
    if direct is not None and by_file is not None:
        raise Unset(f"variables {name} and {name}_FILE are both set; keep one")
    if by_file is not None:
        direct = _in_file(f"{name}_FILE", by_file)
    if direct is None:
        meant = did_you_mean(name, (key.removesuffix("_FILE") for key in environ), cutoff=0.8)
        raise Unset(f"variable {name} is not set; set it, or {name}_FILE" + (f" ({meant})" if meant else ""))
    text = direct.strip()
    if not text:
        raise Unset(f"variable {name} is set, but empty")
    if not text.isprintable():
        raise Unset(f"variable {name} holds a line end or an invisible character inside its value")
    return text


def _in_file(name: str, path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file name"
        raise Unset(f"variable {name} names a file that cannot be read: {reason}") from None
    if len(raw) > MAX_BYTES:
        raise Unset(f"variable {name} names a file too large to hold one value")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unset(f"variable {name} names a file that is not text in UTF-8") from None


def filled(text: str, environ: Mapping[str, str]) -> str:
    """The text with every `${NAME}` replaced. Raises Unset with every variable that cannot be read."""
    problems: list[str] = []

    def one(found: re.Match[str]) -> str:
        try:
            return value(found[1], environ)
        except Unset as problem:
            problems.append(str(problem))
            return ""

    result = REFERENCE.sub(one, text)
    if "$" in REFERENCE.sub("", text):
        problems.append("has a $ that names no variable; write ${NAME}")
    if problems:
        raise Unset("; ".join(dict.fromkeys(problems)))
    return result

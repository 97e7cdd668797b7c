"""Structured logs: one JSON object per line, or plain lines on a terminal. Secrets and addresses are masked last.

Every record of the process passes the same chain, those of other libraries too, so nothing reaches a sink unmasked
(reliability G26, G27, G28). Exceptions are printed without local variables.

    log = logs.logger(__name__)
    log.info("pulled", vendor="hubspot", rows=100)
"""

import logging
import math
import re
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, TextIO
from urllib.parse import quote

import structlog
from structlog.typing import Processor

LONGEST = 8192
"""Characters kept of any one text; what is longer is cut, so that a payload never becomes a log line."""

_DEEPEST = 6
_SHORTEST_SECRET = 6  # hiding shorter ones literally would eat ordinary words

_SECRET_NAME = re.compile(
    r"secret|token|passw|authorization|api_?key|write_key|cookie|signature|session|credential", re.IGNORECASE
)
_NOT_IN_ADDRESS = r"\s@<>\"'(),:;\[\]{}\\=&?/|"
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(\w://)[^/\s@]{1,512}@"), r"\1***@"),  # user and password inside an address
    (re.compile(r"\[parameters: .*", re.DOTALL), "[parameters: ***]"),  # SQLAlchemy appends what was bound
    (re.compile(r"(/webhooks/[a-z]{1,40}/)[^\s/?#\"'<>]+"), r"\1***"),  # secret in the path (reliability section 3)
    (re.compile(r"(https?://hooks\.slack\.com/)\S+"), r"\1***"),
    (re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]+", re.IGNORECASE), r"\1 ***"),
    (re.compile(r"\bpat-[a-z0-9]{2,8}-[0-9A-Za-z-]{8,}"), "***"),  # HubSpot private app token, service key
    (re.compile(r"\b[0-9a-f]{32}-us\d{1,3}\b"), "***"),  # Mailchimp API key
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), "***"),  # JSON web token
    (
        re.compile(
            rf"(?:[^{_NOT_IN_ADDRESS}%]|%[0-9A-Fa-f]{{2}}|(?<=\w)'){{1,64}}(?:@|%40)"
            rf"[^{_NOT_IN_ADDRESS}%.]{{1,63}}(?:\.[^{_NOT_IN_ADDRESS}%.]{{1,63}})+"
        ),
        "[address]",
    ),
)  # fmt: skip

_hidden: set[str] = set()


def hide(*secrets: str | None) -> None:
    """Replace these texts wherever they appear in a log line from now on. For secrets read from the configuration."""
    for secret in secrets:
        if secret and len(secret) >= _SHORTEST_SECRET:
            _hidden.update({secret, quote(secret, safe="")})


def mask(text: str) -> str:
    """`text` fit for a log: known secrets, tokens, secret paths and e-mail addresses replaced, length bounded."""
    for secret in sorted(_hidden, key=len, reverse=True):
        text = text.replace(secret, "***")
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}… ({len(text)} characters)"
    for pattern, by in _PATTERNS:
        text = pattern.sub(by, text)
    return text


def _masked(value: Any, depth: int = 0) -> Any:
    """A copy made of plain JSON values only: nothing is left for a renderer to call `repr` on."""
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case str():
            return mask(value)
        case bytes() | bytearray() | memoryview():
            return f"<{len(value)} bytes>"  # raw bodies never belong in a log
        case _ if depth >= _DEEPEST:
            return "…"
        case Mapping():
            return {
                mask(str(key)): "***" if _SECRET_NAME.search(str(key)) else _masked(one, depth + 1)
                for key, one in value.items()
            }
        case Sequence() | set() | frozenset():
            return [_masked(one, depth + 1) for one in value]
        case _:
            return mask(str(value))


def _mask_event(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    own = {key: event[key] for key in event if key.startswith("_")}  # structlog's own notes between processors
    rest = {key: value for key, value in event.items() if not key.startswith("_")}
    return {**_masked(rest), **own}


_UNPRINTABLE = {
    code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
    for code in (*range(32), *range(127, 160), *range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2066, 0x206A))
}
_TRACE_KEYS = ("exception", "stack")


def _one_line(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """For terminals: no text of ours or of a lead moves the cursor, starts a line or turns the reading direction."""
    keep = {ord("\n"): None, ord("\t"): None}
    for key, value in event.items():
        if isinstance(value, str):
            table = {k: v for k, v in _UNPRINTABLE.items() if k not in keep} if key in _TRACE_KEYS else _UNPRINTABLE
            event[key] = value.translate(table)
    return event


_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    structlog.processors.format_exc_info,
)

# Masked before the hand-over to `logging` as well, so that a process that never calls `configure` leaks nothing.
structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        *_SHARED,
        _mask_event,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)


def configure(*, json: bool, level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Send every log record of the process to `stream` (standard error), as JSON lines or as plain lines."""
    out = stream or sys.stderr
    console = structlog.dev.ConsoleRenderer(colors=out.isatty(), timestamp_key="at")
    renderer: list[Processor] = [structlog.processors.JSONRenderer()] if json else [_one_line, console]
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _mask_event, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in ("urllib3", "sqlalchemy", "alembic"):
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # warns of each request that waits for a thread


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of one module: `logs.logger(__name__)`. Values go in as fields, never into the text."""
    bound: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return bound

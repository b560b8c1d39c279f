"""Logging of every service: structlog to standard error, as text for people or JSON for machines.

One processor redacts whatever looks like a secret by its key, and inside any text passwords of
URLs, ``Authorization`` values and private keys in PEM.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Literal, TextIO, cast

import msgspec
import structlog
from structlog.typing import EventDict, WrappedLogger

_SECRET_KEY = re.compile(
    r"passw|passphrase|secret|authorization|credential|session_?key|private|_auth$|token|cookie",
    re.IGNORECASE,
)
REDACTED = "[redacted]"
_SECRETS_IN_TEXT = (
    # Up to the last @ before the path: a password may hold one that nobody quoted.
    (re.compile(r"([a-z][a-z0-9+.-]*://[^/\s:@]*):[^/\s]*@", re.IGNORECASE), rf"\1:{REDACTED}@"),
    (
        re.compile(
            r"(authorization['\"]?\s*[:=]\s*(?:b?['\"])?)(?:(?:basic|bearer|digest)\s+)?[\w+/=.~-]+",
            re.IGNORECASE,
        ),
        rf"\1{REDACTED}",
    ),
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL),
        REDACTED,
    ),
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Of ProcessorFormatter, for its own use.
_INTERNAL = ("_record", "_from_structlog")


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[log]``: the least level that is written, and its form."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace the values of secret-looking keys, in nested mappings too, and secrets in texts.

    The event itself, which may quote a stranger, stays on its line.
    """
    cleaned = {
        key: value if key in _INTERNAL else _clean(key, value) for key, value in event.items()
    }
    said = cleaned.get("event")
    if isinstance(said, str):
        cleaned["event"] = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", said)
    return cleaned


def redact_text(text: str) -> str:
    """Return `text` without URL passwords, ``Authorization`` values and private keys."""
    for pattern, replacement in _SECRETS_IN_TEXT:
        text = pattern.sub(replacement, text)
    return text


def _clean(key: str, value: object) -> object:
    if _SECRET_KEY.search(key):
        return REDACTED
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return {k: _clean(str(k), v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean("", item) for item in value]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"[{len(value)} bytes]"
    # Errors, addresses, paths: what they would look like may hold what a text may not.
    return redact_text(str(value))


class StandardError:
    """Standard error, as far as it takes what is written.

    A record that cannot be written, because the disk of the log is full or nobody reads it any
    more, must not cost the work that it tells of.
    """

    def write(self, text: str) -> int:
        """Write, or do without."""
        with suppress(OSError, ValueError):  # the latter where it was closed
            return sys.stderr.write(text)
        return 0

    def flush(self) -> None:
        """Flush, or do without."""
        with suppress(OSError, ValueError):
            sys.stderr.flush()


def configure_logging(service: str, settings: LogSettings | None = None) -> None:
    """Send structlog's and the standard library's records to standard error."""
    chosen = settings or LogSettings()
    level = logging.getLevelNamesMapping()[chosen.level.upper()]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if chosen.format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # A plain traceback: a pretty one prints local variables, and a local may be a key.
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", StandardError())),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(sys.stderr)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
    handler.setFormatter(formatter)
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)

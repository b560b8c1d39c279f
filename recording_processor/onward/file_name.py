"""Names of what could not be delivered: ``<domain>_<tenant>_<ccid>/<recording id>_<time>.json``.

Ids and tenants come from outside: what is not a letter, a digit, ``.``, ``-``, ``_`` or ``~`` is
percent-encoded, so that no name leaves its folder, hides itself or means another. Pure.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

_LONGEST_ID = 120
_LONGEST_PART = 80
_DIGEST = 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def clean(text: str, longest: int) -> str:
    """Return `text` as a part of a file name: never empty, at most `longest` characters."""
    safe = quote(text, safe="", errors="surrogatepass") or "%"
    if safe.startswith("."):
        safe = f"%2E{safe[1:]}"
    if len(safe) <= longest:
        return safe
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    return f"{safe[: longest - _DIGEST - 1]}~{digest}"


def folder_name(domain: str, tenant: str, ccid: str) -> str:
    """Return the name of the folder for what belongs to a tenant."""
    return "_".join(clean(part, _LONGEST_PART) for part in (domain, tenant, ccid))


def file_name(recording_id: str, filed_at: int) -> str:
    """Return the name of the file; `filed_at` is in milliseconds since 1970."""
    moment = (_EPOCH + timedelta(milliseconds=filed_at)).isoformat(timespec="milliseconds")
    time = moment.replace("+00:00", "Z").replace("-", "").replace(":", "")
    return f"{clean(recording_id, _LONGEST_ID)}_{time}.json"


def order(name: str) -> tuple[str, str]:
    """Return what sorts the paths of files by time, oldest first."""
    return name.removesuffix(".json").rpartition("_")[2], name


def recording_of(name: str) -> str:
    """Return the beginning that all files of one recording have in common."""
    return name.rpartition("_")[0]

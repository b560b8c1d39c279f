"""Where one item goes: the origins (scheme, host and port) of its store and its processor.

An origin is what fails as a whole. It is told in metrics and logs, and never has a password.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


class Route(NamedTuple):
    """The origins of a store and a processor; one that is no origin is empty."""

    store: str = ""
    processor: str = ""

    @property
    def origins(self) -> frozenset[str]:
        """The origins that there are; one where both are the same server."""
        return frozenset(self) - {""}


def origin_of(url: str) -> str:
    """Return ``scheme://host:port`` of `url`, empty for what is no HTTP URL."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return ""
    if not parts.hostname or parts.scheme not in _PORTS:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port}"

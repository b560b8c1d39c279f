"""Where one item goes: the origins (scheme, host and port) of its store and its processor.

An origin is what fails as a whole. It is told in metrics and logs, and never has a password.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from mcp_sim.recording.spool.folders import ITEM

_PORTS = {"http": 80, "https": 443}


class Route(NamedTuple):
    """The origins of a store and a processor; one that is no origin is empty."""

    store: str = ""
    processor: str = ""

    @property
    def origins(self) -> frozenset[str]:
        """The origins that there are; one where both are the same server."""
        return frozenset(self) - {""}


class _Addresses(msgspec.Struct):
    """The part of ``item.json`` that tells where an item goes."""

    object_url: str
    processor_url: str


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


def read_route(folder: Path) -> Route:
    """Return where the item in `folder` goes; one that cannot be read goes nowhere."""
    try:
        addresses = msgspec.json.decode((folder / ITEM).read_bytes(), type=_Addresses)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return Route()
    return Route(origin_of(addresses.object_url), origin_of(addresses.processor_url))

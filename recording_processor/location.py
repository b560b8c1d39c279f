"""Locations of nodes: a hierarchy; what is set for ``/US`` holds for ``/US/AK`` too. Pure."""

from __future__ import annotations

ROOT = "/"
_LONGEST = 255


def parse_location(text: str) -> str:
    """Return `text` as ``/``, ``/US`` or ``/US/AK``: one slash before each part, none at the end.

    Letter case is kept and counts. Raises `ValueError`.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"it is longer than {_LONGEST} characters")
    if not text.isprintable() or "\\" in text:
        raise ValueError("it holds a character that no location has")
    parts = [part.strip() for part in text.split("/") if part.strip()]
    if any(part in (".", "..") for part in parts):
        raise ValueError("it holds a part that is no name")
    return ROOT + "/".join(parts)


def covers(location: str, node: str) -> bool:
    """Return whether what is set for `location` holds at `node`: it, or whole parts above it."""
    return location in (ROOT, node) or node.startswith(f"{location}/")

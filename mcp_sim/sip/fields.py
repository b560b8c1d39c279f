"""Header field values that must survive unchanged: cut apart as text, never re-written.

`sipmessage` owns the grammar, but it re-encodes what it prints; dialogs and responses have to
send back the very bytes they received (RFC 3261 §8.2.6.2, §12.1). All functions are linear.
"""

from __future__ import annotations

import re

_PARAMETER = r";[ \t]*{name}[ \t]*=[ \t]*([^;,\s\"<>]+)"
_TAG = re.compile(_PARAMETER.format(name="tag"), re.IGNORECASE)
_BRANCH = re.compile(_PARAMETER.format(name="branch"), re.IGNORECASE)
_RPORT = re.compile(r";[ \t]*rport[ \t]*(?==|;|,|$)(?:=[ \t]*\d*)?", re.IGNORECASE)
_RECEIVED = re.compile(r";[ \t]*received[ \t]*=[^;,]*", re.IGNORECASE)


def split_list(value: str) -> list[str]:
    """Cut a comma list at its top level: commas in quotes or angle brackets stay."""
    parts: list[str] = []
    start = 0
    quoted = angled = escaped = False
    for position, char in enumerate(value):
        if quoted:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == '"':
                quoted = False
        elif char == '"':
            quoted = True
        elif char in "<>":
            angled = char == "<"
        elif char == "," and not angled:
            parts.append(value[start:position].strip())
            start = position + 1
    parts.append(value[start:].strip())
    return [part for part in parts if part]


def addr_spec(value: str) -> str:
    """The URI text of an address header value (RFC 3261 §20.10), as it was written.

    Raises ValueError when a bracket is not closed or there is no URI.
    """
    uri, _ = _split_address(value)
    return uri


def tag(value: str) -> str:
    """The `tag` of a From or To value; empty when it has none.

    Raises ValueError when the address is not closed.
    """
    _, parameters = _split_address(value)
    found = _TAG.search(parameters)
    return found.group(1) if found else ""


def has_parameter(value: str, name: str) -> bool:
    """True when an address header value carries the header parameter `name`."""
    _, parameters = _split_address(value)
    names = (part.partition("=")[0].strip().lower() for part in parameters.split(";"))
    return name.lower() in names


def branch(via: str) -> str:
    """The `branch` of one Via value; empty when it has none (RFC 2543 peers)."""
    found = _BRANCH.search(via)
    return found.group(1) if found else ""


def asks_rport(via: str) -> bool:
    """True when the sender of this Via asks for RFC 3581 symmetric response routing."""
    return _RPORT.search(via) is not None


def mark_received(via: str, host: str, port: int) -> str:
    """`via` with `received` (and the asked-for `rport`) set, RFC 3261 §18.2.1, RFC 3581 §4."""
    marked = _RECEIVED.sub("", via)
    if asks_rport(marked):
        marked = _RPORT.sub(f";rport={port}", marked, count=1)
    return f"{marked};received={host}"


def _split_address(value: str) -> tuple[str, str]:
    """Return (URI text, header parameters) of one address value."""
    start = _after_display_name(value)
    opening = value.find("<", start)
    if opening < 0:
        uri, semicolon, parameters = value[start:].strip().partition(";")
        if ">" in value or not uri.strip():
            raise ValueError("the address is not valid")
        return uri.strip(), semicolon + parameters
    closing = value.find(">", opening)
    if closing < 0 or closing == opening + 1:
        raise ValueError("the address is not valid")
    return value[opening + 1 : closing].strip(), value[closing + 1 :]


def _after_display_name(value: str) -> int:
    """Index behind a quoted display name, 0 when there is none."""
    value_start = len(value) - len(value.lstrip())
    if not value.startswith('"', value_start):
        return 0
    escaped = False
    for position in range(value_start + 1, len(value)):
        char = value[position]
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == '"':
            return position + 1
    raise ValueError("the display name is not closed")

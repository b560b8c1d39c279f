"""Messages written as text: any message, and the answer to one that could not be read.

Header values are written as they are given; a line break in one is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from . import fields, grammar
from .hop import Hop
from .reasons import reason_phrase

HeaderList = Sequence[tuple[str, str]]

_ECHOED = ("via", "from", "to", "call-id", "cseq")
_VERSION = re.compile(r"SIP/\d+\.\d+/")
_COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id"}


def compose(start_line: str, headers: HeaderList, body: bytes) -> bytes:
    """Write a message; Content-Length is added. Raises ValueError on a line break in a value."""
    lines = [start_line, *(f"{name}: {value}" for name, value in headers)]
    lines.append(f"Content-Length: {len(body)}")
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a SIP header value must not contain a line break")
    return "\r\n".join([*lines, "", ""]).encode() + body


def stamped_vias(vias: Iterable[str], source: Hop) -> list[str]:
    """Via lines of a request as a response carries them: the top one says where it came from.

    `received` is set when the sent-by differs from the packet's source, or `rport` asks for it.
    """
    lines = list(vias)
    first, *rest = fields.split_list(lines[0])
    sent_by = first.partition(" ")[2].strip().partition(";")[0]
    host = sent_by.rpartition(":")[0] if re.search(r":\d+\s*$", sent_by) else sent_by
    if fields.asks_rport(first) or host.strip(" []").lower() != source.host.lower():
        first = fields.mark_received(first, source.host, source.port)
    return [", ".join([first, *rest]), *lines[1:]]


def refusal(head: bytes, source: Hop, code: int, sentence: str, to_tag: str) -> bytes | None:
    """Answer a request that could not be parsed, from the lines that can be read at all.

    None where nothing may be answered: a response, an ACK, a request without a usable Via.
    """
    lines = head.partition(b"\r\n\r\n")[0].decode("utf-8", "replace").split("\r\n")
    if lines[0].startswith(("SIP/", "ACK ")):
        return None
    echoed = _echoed(lines[1:100])
    vias = [value for name, value in echoed if name == "via"]
    usable = [via for via in (*vias[:1], *map(_without_empty, vias[:1])) if _answerable(via)]
    if not usable:
        return None
    vias[0] = usable[0]
    headers = [("Via", value) for value in stamped_vias(vias, source)]
    for name in ("From", "To", "Call-ID", "CSeq"):
        found = [value for key, value in echoed if key == name.lower()][:1]
        if found and name == "To" and ";tag=" not in found[0]:
            found = [f"{found[0]};tag={to_tag}"]
        headers += [(name, value) for value in found]
    headers.append(("Warning", f'399 reclab "{_quotable(sentence)}"'))
    return compose(f"SIP/2.0 {code} {reason_phrase(code)}", headers, b"")


def _answerable(via: str) -> bool:
    """Whether the first value of a Via can be read, be it of another version of SIP."""
    try:
        grammar.parse_via(_VERSION.sub("SIP/2.0/", fields.split_list(via)[0], count=1))
    except (IndexError, ValueError):
        return False
    return True


def _without_empty(via: str) -> str:
    """A Via without its empty parameters and values (RFC 4475 §3.1.2.1)."""
    values = (
        ";".join(part for part in value.split(";") if part.strip())
        for value in fields.split_list(via)
    )
    return ", ".join(value for value in values if value)


def _echoed(lines: list[str]) -> list[tuple[str, str]]:
    """The headers that a response repeats, by lower-case name, as far as they are printable."""
    echoed: list[tuple[str, str]] = []
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        name = _COMPACT.get(name, name)
        if colon and name in _ECHOED and value.strip() and value.isprintable():
            echoed.append((name, value.strip()))
    return echoed


def _quotable(text: str) -> str:
    return "".join(char for char in text if char.isprintable() and char not in '"\\')[:120]

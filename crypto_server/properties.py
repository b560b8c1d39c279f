"""Java properties text, as java.util.Properties reads it: comments, continued lines, escapes.

Bytes are ISO-8859-1; other characters are written ``\\uXXXX``. Keys are separated from values by
``=``, ``:`` or white space. The last one of a key counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_BLANK = " \t\f"
_SIMPLE = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_ESCAPE = re.compile(r"\\(u(.{0,4})|.|$)", re.DOTALL)
_HEX = re.compile(r"[0-9A-Fa-f]{4}")
_KEY = re.compile(r"((?:\\.|[^\\=: \t\f])*)[ \t\f]*[=:]?[ \t\f]*(.*)", re.DOTALL)
_CONTINUED = re.compile(r"(?<!\\)(?:\\\\)*\\\Z")


class PropertiesError(ValueError):
    """The text is not Java properties; the sentence names the line."""


class Property(NamedTuple):
    """One key and value, and the natural lines (from, to, counted from 0) that it stands on."""

    key: str
    value: str
    first: int
    end: int


def parse_properties(data: bytes) -> dict[str, str]:
    """Return keys and values in their order. Raises `PropertiesError` for a broken escape."""
    return {found.key: found.value for found in _properties(_lines(data))}


def replace_property(data: bytes, key: str, value: str) -> bytes:
    """Return `data` with `value` for `key`, which it has, and everything else as it was."""
    lines = _lines(data)
    found = [one for one in _properties(lines) if one.key == key]
    if not found:
        raise PropertiesError(f"there is no {key}")
    ends = {1: "\n", 2: "\r\n"}
    for one in reversed(found):
        last = lines[one.end - 1]
        end = ends.get(len(last) - len(last.rstrip("\r\n")), "")
        lines[one.first : one.end] = [f"{key}={_escaped(value)}{end}"]
    return "".join(lines).encode("latin-1")


def _lines(data: bytes) -> list[str]:
    return re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z", data.decode("latin-1"))


def _properties(lines: list[str]) -> Iterator[Property]:
    at = 0
    while at < len(lines):
        first = at
        text = lines[at].rstrip("\r\n").lstrip(_BLANK)
        at += 1
        if not text or text[0] in "#!":
            continue
        while _CONTINUED.search(text):
            text = text[:-1]
            if at == len(lines):
                break
            text += lines[at].rstrip("\r\n").lstrip(_BLANK)
            at += 1
        match = _KEY.fullmatch(text)
        assert match is not None
        yield Property(_plain(match[1], first), _plain(match[2], first), first, at)


def _plain(text: str, line: int) -> str:
    """Resolve the escapes of a key or a value."""

    def resolve(match: re.Match[str]) -> str:
        if match[2] is None:
            return _SIMPLE.get(match[1], match[1])
        if not _HEX.fullmatch(match[2]):
            raise PropertiesError(f"line {line + 1} has \\u without four hexadecimal digits")
        return chr(int(match[2], 16))

    plain = _ESCAPE.sub(resolve, text)
    try:
        return plain.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise PropertiesError(f"line {line + 1} has half a character in \\u") from None


def _escaped(value: str) -> str:
    pieces: list[str] = []
    for unit in value:
        if unit in "\\=:#!" or (unit == " " and not pieces):
            pieces.append(f"\\{unit}")
        elif " " <= unit <= "~":
            pieces.append(unit)
        else:
            pieces += [f"\\u{code:04x}" for code in _utf16(unit)]
    return "".join(pieces)


def _utf16(character: str) -> Iterator[int]:
    data = character.encode("utf-16-be")
    yield from (int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))

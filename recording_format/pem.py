"""PEM: text blocks around base64 (RFC 7468), as strict or as lenient as the reader needs.

Files of certificates and keys must have their line ends: an options editor that loses them ruins
the text, and the vendor's servers then fail. Envelopes are read whatever their lines look like.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import NamedTuple

LINE_WIDTH = 64
_BEGIN = re.compile(r"-----BEGIN ([A-Z0-9][A-Z0-9 ]{0,60})-----")
_SPACE = re.compile(r"\s+")
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")


class Block(NamedTuple):
    """One block: its label, what stands between its boundaries, and where it begins and ends."""

    label: str
    body: str
    start: int
    end: int


def encode(label: str, der: bytes) -> str:
    """Return a block with lines of 64 characters, each ended by LF."""
    text = base64.b64encode(der).decode("ascii")
    lines = [text[at : at + LINE_WIDTH] for at in range(0, len(text), LINE_WIDTH)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def find_blocks(text: str) -> list[Block]:
    """Return all blocks, in order; text between them is passed over.

    `ValueError` when a block has no end of its own.
    """
    blocks = []
    position = 0
    while begin := _BEGIN.search(text, position):
        label = begin[1]
        closing = f"-----END {label}-----"
        end = text.find(closing, begin.end())
        if end < 0:
            raise ValueError(f"the block BEGIN {label} has no END {label}")
        body = text[begin.end() : end]
        if "-----BEGIN " in body:
            raise ValueError(f"the block BEGIN {label} has no END {label} before the next BEGIN")
        position = end + len(closing)
        blocks.append(Block(label, body, begin.start(), position))
    return blocks


def has_line_ends(text: str, block: Block) -> bool:
    """Return whether both boundaries of `block` stand on lines of their own, as they must."""
    before = text[text.rfind("\n", 0, block.start) + 1 : block.start]
    line_end = text.find("\n", block.end)
    after = text[block.end : len(text) if line_end < 0 else line_end]
    inside = block.body.strip(" \t\r")
    return not (before.strip() or after.strip()) and inside[:1] == "\n" == inside[-1:]


def decode(block: Block) -> bytes:
    """Return the bytes of a block without headers; `ValueError` when it is not base64."""
    packed = _SPACE.sub("", block.body)
    if not packed or not _BASE64.fullmatch(packed):
        raise ValueError(f"the block {block.label} is not base64")
    try:
        return base64.b64decode(packed, validate=True)
    except binascii.Error:
        raise ValueError(f"the block {block.label} is not whole base64") from None


def decoded_text(data: bytes) -> str:
    """Return a file's text, whatever an editor put before it and between its blocks."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    return data.removeprefix(b"\xef\xbb\xbf").decode("latin-1")

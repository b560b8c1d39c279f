"""Multipart bodies (RFC 2046 §5.1, RFC 5621) as SIPREC devices really send them.

Pure and bounded. Bare line feeds, nested multiparts, a missing end and parts without a
Content-Type are read; an unreadable boundary raises BodyError.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import re
from collections.abc import Sequence

from .errors import BodyError

MAX_PARTS = 32
MAX_DEPTH = 4

SDP = "application/sdp"
RS_METADATA = ("application/rs-metadata+xml", "application/rs-metadata")

_BOUNDARY = re.compile(r';\s*boundary\s*=\s*(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclasses.dataclass(frozen=True, slots=True)
class BodyPart:
    """One part: its Content-Type as written, its body, its other headers in lower case."""

    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def media_type(self) -> str:
        """The media type without parameters, in lower case."""
        return media_type(self.content_type)


@dataclasses.dataclass(frozen=True, slots=True)
class CallBodies:
    """What the body of an INVITE carries for a recorder; None where it has no such part."""

    sdp: bytes | None
    rs_metadata: bytes | None
    parts: tuple[BodyPart, ...]


def media_type(content_type: str) -> str:
    """`type/subtype` in lower case, without parameters."""
    return content_type.partition(";")[0].strip().lower()


def split_body(content_type: str, body: bytes) -> CallBodies:
    """Find SDP and rs-metadata in a body of any type; raises BodyError for a broken multipart."""
    parts = tuple(parse_parts(content_type, body)) if body else ()
    sdp = next((part.body for part in parts if part.media_type == SDP), None)
    metadata = next((part.body for part in parts if part.media_type in RS_METADATA), None)
    return CallBodies(sdp=sdp, rs_metadata=metadata, parts=parts)


def parse_parts(content_type: str, body: bytes) -> list[BodyPart]:
    """The leaves of a body, nested multiparts taken apart; a plain body is its only leaf."""
    leaves: list[BodyPart] = []
    _collect(BodyPart(content_type, body), leaves, 0)
    return leaves


def build_multipart(
    parts: Sequence[BodyPart], boundary: str, subtype: str = "mixed"
) -> tuple[str, bytes]:
    """Return (Content-Type, body). Raises BodyError when the boundary stands in a part."""
    delimiter = f"--{boundary}".encode()
    if any(delimiter in part.body for part in parts):
        raise BodyError("the boundary stands in a part of the body")
    chunks: list[bytes] = []
    for part in parts:
        lines = [f"Content-Type: {part.content_type}"]
        lines += [f"{name}: {value}" for name, value in part.headers]
        if any(_CONTROL.search(line) for line in lines):
            raise BodyError("a header of a part has a control character")
        head = "\r\n".join([*lines, "", ""]).encode()
        chunks += [delimiter, b"\r\n", head, part.body, b"\r\n"]
    return f'multipart/{subtype};boundary="{boundary}"', b"".join([*chunks, delimiter, b"--\r\n"])


def _collect(part: BodyPart, leaves: list[BodyPart], depth: int) -> None:
    if not part.media_type.startswith("multipart/"):
        if len(leaves) >= MAX_PARTS:
            raise BodyError(f"the body has more than {MAX_PARTS} parts")
        leaves.append(part)
        return
    if depth >= MAX_DEPTH:
        raise BodyError(f"the body is nested deeper than {MAX_DEPTH} levels")
    for child in _children(part):
        _collect(child, leaves, depth + 1)


def _children(part: BodyPart) -> list[BodyPart]:
    found = _BOUNDARY.search(part.content_type)
    if found is None:
        raise BodyError("the multipart body names no boundary")
    boundary = (found.group(1) or found.group(2)).encode()
    delimiter = re.compile(rb"(?:^|\r?\n)--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\r?\n|$)")
    sections: list[bytes] = []
    start: int | None = None
    for match in delimiter.finditer(part.body):
        if start is not None:
            sections.append(part.body[start : match.start()])
        start = None if match.group(1) else match.end()
        if match.group(1) or len(sections) > MAX_PARTS:
            break
    if start is not None:
        sections.append(part.body[start:])  # the closing line is missing
    parts = [_part(section) for section in sections if section.strip()]
    if not parts:
        raise BodyError("the multipart body has no part")
    return parts


def _part(section: bytes) -> BodyPart:
    # The line end of the delimiter belongs to it; without headers an empty line follows at once.
    content = section[2:] if section[:2] == b"\r\n" else section[1:]
    if content.startswith((b"\r\n", b"\n")):
        head, body = b"", content[2 if content[:1] == b"\r" else 1 :]
    else:
        split = _HEADER_END.search(content)
        head, body = (content, b"") if split is None else _cut(content, split)
    headers = _headers(head)
    content_type = headers.pop("content-type", "") or _guess(body)
    encoding = headers.get("content-transfer-encoding", "").lower()
    return BodyPart(content_type, _decoded(body, encoding), tuple(headers.items()))


def _cut(content: bytes, split: re.Match[bytes]) -> tuple[bytes, bytes]:
    return content[: split.start()], content[split.end() :]


def _headers(head: bytes) -> dict[str, str]:
    unfolded = re.sub(rb"\r?\n[ \t]+", b" ", head).decode("utf-8", "replace")
    headers: dict[str, str] = {}
    for line in unfolded.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), value.strip())
    return headers


def _decoded(body: bytes, encoding: str) -> bytes:
    if encoding != "base64":
        return body
    try:
        return base64.b64decode(body)
    except binascii.Error:
        raise BodyError("a part of the body is not valid base64") from None


def _guess(body: bytes) -> str:
    """What a part without Content-Type is, from its first bytes."""
    text = body.lstrip()
    if text.startswith(b"v=0"):
        return SDP
    if text.startswith(b"<") and b"recording" in text[:2000]:
        return RS_METADATA[0]
    return "text/plain"

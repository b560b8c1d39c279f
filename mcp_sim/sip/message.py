"""SIP messages: bytes into checked requests and responses.

`sipmessage` owns the grammar. Before it: bounds and line folding. After it: everything RFC 3261
leaves to the receiver (mandatory fields, CSeq against the method, Content-Length against the
body, number ranges). What cannot be used raises `Malformed`, which knows the answer to send.
"""

from __future__ import annotations

import dataclasses
import re

import sipmessage

from . import fields, grammar, writing
from .errors import SipError
from .hop import Hop

HeaderList = writing.HeaderList

SINGLE = ("From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Length", "Content-Type")
MAX_URI_CHARS = 1024  # the grammar's tel: pattern is quadratic; 15 ms at this length
MAX_METHOD_CHARS = 64  # RFC 4475 §3.1.1.2 has one of 43

_TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")
_REQUEST_LINE = re.compile(r"(\S+) (.*\S) SIP/(\d+\.\d+)", re.IGNORECASE | re.DOTALL)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
_NUMBER = re.compile(r"[0-9]{1,10}")


@dataclasses.dataclass(frozen=True, slots=True)
class MessageLimits:
    """What one message may cost: refused above this, before the grammar sees it."""

    header_bytes: int = 8192
    header_lines: int = 100
    body_bytes: int = 65536


@dataclasses.dataclass(frozen=True, slots=True)
class SipRequest:
    """One checked request. Header values are text as received; `via` is the topmost one."""

    method: str
    raw_uri: str
    uri: sipmessage.URI
    headers: sipmessage.Headers
    body: bytes
    source: Hop
    via: sipmessage.Via
    call_id: str
    from_tag: str
    to_tag: str
    cseq: int
    max_forwards: int

    def header(self, name: str) -> str | None:
        """The first value of a header, None when it is missing."""
        return self.headers.get(name)

    def header_values(self, name: str) -> list[str]:
        """All values of a header, comma lists taken apart."""
        return _values(self.headers, name)

    @property
    def content_type(self) -> str:
        """The Content-Type as received, empty when there is none."""
        return self.headers.get("Content-Type") or ""

    @property
    def vias(self) -> list[str]:
        """All Via header lines, topmost first, as received."""
        return list(self.headers.getlist("Via"))


@dataclasses.dataclass(frozen=True, slots=True)
class SipResponse:
    """One checked response; `branch` and `method` name the transaction that it answers."""

    code: int
    phrase: str
    headers: sipmessage.Headers
    body: bytes
    source: Hop
    branch: str
    call_id: str
    from_tag: str
    to_tag: str
    cseq: int
    method: str

    def header(self, name: str) -> str | None:
        """The first value of a header, None when it is missing."""
        return self.headers.get(name)

    def header_values(self, name: str) -> list[str]:
        """All values of a header, comma lists taken apart."""
        return _values(self.headers, name)

    @property
    def content_type(self) -> str:
        """The Content-Type as received, empty when there is none."""
        return self.headers.get("Content-Type") or ""


class Malformed(SipError):
    """Bytes that are no usable message; `reply` is the answer to send, None for silence."""

    def __init__(self, code: int, sentence: str, reply: bytes | None = None) -> None:
        super().__init__(sentence)
        self.code = code
        self.reply = reply


def parse_message(
    data: bytes, source: Hop, limits: MessageLimits | None = None, *, to_tag: str = "malformed"
) -> SipRequest | SipResponse:
    """Parse one whole message (a datagram, or one frame of a stream).

    Raises `Malformed` with a reply of 400, 416, 505 or 513 where the sender of a request can be
    told (RFC 3261 §8.2, §21.5.7), with no reply for responses and ACKs (§18.1.2, §17.1.1.3).
    """
    limits = limits or MessageLimits()
    data = data.lstrip(b"\r\n")
    try:
        head, body = _split(data, limits)
        return _parse(head, body, source, limits)
    except Malformed as problem:
        head_bytes = data[: limits.header_bytes]
        problem.reply = writing.refusal(head_bytes, source, problem.code, str(problem), to_tag)
        raise


def _split(data: bytes, limits: MessageLimits) -> tuple[list[str], bytes]:
    """Cut head from body and unfold the lines (RFC 3261 §7.3.1), within the bounds."""
    end = data.find(b"\r\n\r\n", 0, limits.header_bytes + 4)
    if end < 0:
        if len(data) > limits.header_bytes:
            raise Malformed(513, f"the header is longer than {limits.header_bytes} bytes")
        raise Malformed(400, "the header is not ended by an empty line")
    head = data[:end]
    if head.count(b"\r\n") >= limits.header_lines:
        raise Malformed(513, f"the header has more than {limits.header_lines} lines")
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed(400, "the header is not UTF-8") from None
    lines: list[str] = []
    for line in text.split("\r\n"):
        if "\r" in line or "\n" in line:
            raise Malformed(400, "the header has a bare line break")
        if line[:1] in (" ", "\t") and lines:
            lines[-1] += " " + line.strip()
        else:
            lines.append(line)
    return lines, data[end + 4 :]


def _parse(
    lines: list[str], body: bytes, source: Hop, limits: MessageLimits
) -> SipRequest | SipResponse:
    start, raw_uri = _start_line(lines[0])
    normal = [start, *(_normal_line(line) for line in lines[1:])]
    try:
        message = grammar.parse_message(("\r\n".join(normal) + "\r\n\r\n").encode())
    except ValueError as error:
        raise Malformed(400, f"the message cannot be parsed: {error}") from None
    headers = message.headers
    for name in SINGLE:
        if len(headers.getlist(name)) > 1:
            raise Malformed(400, f"the header {name} stands more than once")
    for name in ("Via", "From", "To", "Call-ID", "CSeq"):
        if not headers.get(name):
            raise Malformed(400, f"the header {name} is missing")
    cseq, method = _cseq(headers["CSeq"])
    via_text = fields.split_list(headers["Via"])[0]
    common = {
        "from_tag": _tag(headers, "From"),
        "to_tag": _tag(headers, "To"),
        "call_id": headers["Call-ID"],
        "cseq": cseq,
    }
    body = _body(body, headers, source, limits)
    if isinstance(message, sipmessage.Response):
        if not 100 <= message.code <= 699:
            raise Malformed(400, "the status code is not valid")
        return SipResponse(
            code=message.code,
            phrase=message.phrase,
            headers=headers,
            body=body,
            source=source,
            branch=fields.branch(via_text),
            method=method,
            **common,  # type: ignore[arg-type]  # one dict for four str and one int fields
        )
    if method != message.method:
        raise Malformed(400, f"CSeq names {method}, the request is {message.method}")
    return SipRequest(
        method=message.method,
        raw_uri=raw_uri,
        uri=message.uri,
        headers=headers,
        body=body,
        source=source,
        via=_via(via_text),
        max_forwards=_max_forwards(headers),
        **common,  # type: ignore[arg-type]  # one dict for four str and one int fields
    )


def _start_line(line: str) -> tuple[str, str]:
    """Check the first line; return it as the grammar wants it, and the URI as received."""
    if line[:8].upper() == "SIP/2.0 ":
        # Linear white space and an empty phrase are legal; the grammar wants both spaces.
        return line if line.count(" ") > 1 else line + " ", ""
    found = _REQUEST_LINE.fullmatch(line)
    if found is None:
        raise Malformed(400, "the first line is neither a request nor a response")
    method, uri, version = found.groups()
    if version != "2.0":
        raise Malformed(505, f"the SIP version {version[:10]} is not supported")
    if _TOKEN.fullmatch(method) is None or len(method) > MAX_METHOD_CHARS:
        raise Malformed(400, "the method is not valid")
    scheme = _SCHEME.match(uri)
    if scheme is None:
        raise Malformed(400, "the Request-URI is not valid")
    if len(uri) > MAX_URI_CHARS:
        raise Malformed(414, f"the Request-URI is longer than {MAX_URI_CHARS} characters")
    if scheme.group().lower() not in ("sip:", "sips:", "tel:"):
        raise Malformed(416, f"the URI scheme {scheme.group()[:20]} is not supported")
    normal = scheme.group().lower() + uri[scheme.end() :]
    return f"{method} {normal} SIP/2.0", uri


def _normal_line(line: str) -> str:
    """Strip what RFC 3261 §7.3.1 allows before the colon and the grammar does not."""
    name, colon, value = line.partition(":")
    name = name.rstrip(" \t")
    if not colon or _TOKEN.fullmatch(name) is None:
        raise Malformed(400, "a header line has no valid name")
    return f"{name}:{value}"


def _cseq(value: str) -> tuple[int, str]:
    try:
        cseq = grammar.parse_cseq(value)
    except ValueError:
        raise Malformed(400, "the header CSeq is not valid") from None
    if not cseq.sequence < 2**31:
        raise Malformed(400, "the CSeq number is out of range")
    return cseq.sequence, cseq.method


def _via(value: str) -> sipmessage.Via:
    try:
        return grammar.parse_via(value)
    except ValueError:
        raise Malformed(400, "the header Via is not valid") from None


def _tag(headers: sipmessage.Headers, name: str) -> str:
    try:
        return fields.tag(headers[name])
    except ValueError:
        raise Malformed(400, f"the header {name} is not valid") from None


def _max_forwards(headers: sipmessage.Headers) -> int:
    value = headers.get("Max-Forwards")
    if value is None:
        return 70  # RFC 2543 peers do not send it
    if _NUMBER.fullmatch(value) is None or int(value) > 255:
        raise Malformed(400, "the header Max-Forwards is not valid")
    return int(value)


def _body(body: bytes, headers: sipmessage.Headers, source: Hop, limits: MessageLimits) -> bytes:
    """Cut the body to Content-Length (RFC 3261 §18.3)."""
    value = headers.get("Content-Length")
    if value is None:
        if source.reliable:
            raise Malformed(400, "the header Content-Length is missing")
        length = len(body)
    elif _NUMBER.fullmatch(value) is None:
        raise Malformed(400, "the header Content-Length is not valid")
    else:
        length = int(value)
    if length > limits.body_bytes:
        raise Malformed(513, f"the body is longer than {limits.body_bytes} bytes")
    if length > len(body):
        raise Malformed(400, f"Content-Length is {length}, the body has {len(body)} bytes")
    return body[:length]


def _values(headers: sipmessage.Headers, name: str) -> list[str]:
    return [value for line in headers.getlist(name) for value in fields.split_list(line)]

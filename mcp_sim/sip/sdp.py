"""Session descriptions (RFC 4566) as far as recording needs them: audio lines and their attributes.

Pure, tolerant of line ends and unknown lines, bounded. Which lines an answer takes is decided
in `offer_answer`.
"""

from __future__ import annotations

import dataclasses
import enum
from itertools import pairwise

from .errors import BodyError
from .hop import bare

MAX_MEDIA_LINES = 64
MAX_LINES = 2000
MAX_LINE_CHARS = 4096

STATIC_CODECS = {
    0: ("pcmu", 8000, 1),
    3: ("gsm", 8000, 1),
    4: ("g723", 8000, 1),
    8: ("pcma", 8000, 1),
    9: ("g722", 8000, 1),
    13: ("cn", 8000, 1),
    18: ("g729", 8000, 1),
}


class Direction(enum.StrEnum):
    """Who sends, seen from the side that wrote the description (RFC 3264 §5.1)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"


@dataclasses.dataclass(frozen=True, slots=True)
class Codec:
    """One payload type of a media line; `name` is in lower case."""

    payload_type: int
    name: str
    clock_rate: int = 8000
    channels: int = 1
    parameters: str = ""

    @property
    def encoding(self) -> tuple[str, int, int]:
        """What two sides compare: name, clock rate and channels."""
        return (self.name, self.clock_rate, self.channels)

    @property
    def rtpmap(self) -> str:
        """The value of its a=rtpmap line."""
        channels = f"/{self.channels}" if self.channels > 1 else ""
        name = self.name if self.name == "telephone-event" else self.name.upper()
        return f"{self.payload_type} {name}/{self.clock_rate}{channels}"


PCMU = Codec(0, "pcmu")
PCMA = Codec(8, "pcma")
TELEPHONE_EVENT = Codec(101, "telephone-event", parameters="0-15")


@dataclasses.dataclass(frozen=True, slots=True)
class MediaLine:
    """One m-line. `host` is its own or the session's connection address, empty when neither is.

    `formats` is what stood in the line; `codecs` are those of them that are known by name.
    """

    kind: str
    port: int
    transport: str = "RTP/AVP"
    formats: tuple[str, ...] = ()
    codecs: tuple[Codec, ...] = ()
    host: str = ""
    direction: Direction = Direction.SENDRECV
    label: str = ""
    ptime: int | None = None

    @property
    def held(self) -> bool:
        """True for the old way to hold: connection address 0.0.0.0 (RFC 3264 §8.4)."""
        return self.host in ("0.0.0.0", "::")  # noqa: S104  # compared, nothing is bound

    @property
    def sends(self) -> bool:
        """True when the writer of this line may send media now."""
        return bool(self.port) and self.direction in (Direction.SENDRECV, Direction.SENDONLY)

    def _lines(self, session_host: str) -> list[str]:
        formats = " ".join(self.formats or (str(codec.payload_type) for codec in self.codecs))
        lines = [f"m={self.kind} {self.port} {self.transport} {formats}"]
        if not self.port:
            return lines
        if self.host and self.host != session_host:
            lines.append(f"c={_connection(self.host)}")
        for codec in self.codecs:
            lines.append(f"a=rtpmap:{codec.rtpmap}")
            if codec.parameters:
                lines.append(f"a=fmtp:{codec.payload_type} {codec.parameters}")
        if self.ptime is not None:
            lines.append(f"a=ptime:{self.ptime}")
        if self.label:
            lines.append(f"a=label:{self.label}")
        lines.append(f"a={self.direction}")
        return lines


@dataclasses.dataclass(frozen=True, slots=True)
class SessionDescription:
    """A whole description; `timing` is the value of its t-line."""

    media: tuple[MediaLine, ...]
    host: str
    session_id: int = 0
    version: int = 0
    user: str = "-"
    timing: str = "0 0"

    @classmethod
    def parse(cls, body: bytes) -> SessionDescription:
        """Read a description; raises BodyError with one sentence."""
        lines = body.decode("utf-8", "replace").replace("\r", "\n").split("\n")
        pairs = [(line[:1], line[2:].strip()) for line in lines if line[1:2] == "="]
        if len(lines) > 2 * MAX_LINES or len(pairs) > MAX_LINES:
            raise BodyError(f"the SDP has more than {MAX_LINES} lines")
        if any(len(value) > MAX_LINE_CHARS for _, value in pairs):
            raise BodyError(f"a line of the SDP is longer than {MAX_LINE_CHARS} characters")
        if not pairs or pairs[0] != ("v", "0"):
            raise BodyError("the SDP does not begin with v=0")
        starts = [index for index, (kind, _) in enumerate(pairs) if kind == "m"]
        if len(starts) > MAX_MEDIA_LINES:
            raise BodyError(f"the SDP has more than {MAX_MEDIA_LINES} media lines")
        common = pairs[: starts[0]] if starts else pairs
        values = dict(reversed(common))  # the first of each kind counts
        user, session_id, version = _origin(values.get("o", ""))
        host = _host(values["c"]) if "c" in values else ""
        direction = _direction(common, Direction.SENDRECV)
        sections = [pairs[start:end] for start, end in pairwise([*starts, len(pairs)])]
        return cls(
            media=tuple(_media(section, host, direction) for section in sections),
            host=host,
            session_id=session_id,
            version=version,
            user=user,
            timing=values.get("t", "0 0"),
        )

    def encode(self) -> bytes:
        """The description as a body."""
        lines = [
            "v=0",
            f"o={self.user} {self.session_id} {self.version} {_connection(self.host)}",
            "s=-",
        ]
        if self.host:
            lines.append(f"c={_connection(self.host)}")
        lines.append(f"t={self.timing}")
        for media in self.media:
            lines += media._lines(self.host)
        return "\r\n".join([*lines, ""]).encode()


def _media(section: list[tuple[str, str]], host: str, direction: Direction) -> MediaLine:
    words = section[0][1].split()
    if len(words) < 4:
        raise BodyError("a media line of the SDP is too short")
    port = words[1].partition("/")[0]
    if not _is_number(port, 65535):
        raise BodyError(f"the port {port[:10]} of a media line is not valid")
    attributes = _attributes(section)
    own_host = next((_host(value) for kind, value in section if kind == "c"), host)
    ptime = attributes.get("ptime", [""])[0]
    return MediaLine(
        kind=words[0].lower(),
        port=int(port),
        transport=words[2],
        formats=tuple(words[3:]),
        codecs=_codecs(words[3:], attributes),
        host=own_host,
        direction=_direction(section, direction),
        label=attributes.get("label", [""])[0],
        ptime=int(ptime) if _is_number(ptime, 1000) else None,
    )


def _attributes(section: list[tuple[str, str]]) -> dict[str, list[str]]:
    attributes: dict[str, list[str]] = {}
    for kind, value in section:
        if kind == "a":
            name, _, content = value.partition(":")
            attributes.setdefault(name.strip().lower(), []).append(content.strip())
    return attributes


def _codecs(formats: list[str], attributes: dict[str, list[str]]) -> tuple[Codec, ...]:
    """The known payload types in the order of the line, each once."""
    maps = {key: value for key, _, value in _split_each(attributes.get("rtpmap", []))}
    parameters = {key: value for key, _, value in _split_each(attributes.get("fmtp", []))}
    codecs: dict[int, Codec] = {}
    for name in formats:
        if not _is_number(name, 127) or int(name) in codecs:
            continue
        encoding = _encoding(maps[name]) if name in maps else STATIC_CODECS.get(int(name))
        if encoding is not None:
            codecs[int(name)] = Codec(int(name), *encoding, parameters.get(name, ""))
    return tuple(codecs.values())


def _split_each(values: list[str]) -> list[tuple[str, str, str]]:
    return [value.partition(" ") for value in values]


def _encoding(rtpmap: str) -> tuple[str, int, int] | None:
    parts = [part.strip() for part in rtpmap.split("/")]
    if len(parts) not in (2, 3) or not _is_number(parts[1], 192_000):
        return None
    channels = parts[2] if len(parts) == 3 else "1"
    if not parts[0] or not _is_number(channels, 8):
        return None
    return parts[0].lower(), int(parts[1]), int(channels)


def _direction(section: list[tuple[str, str]], default: Direction) -> Direction:
    for kind, value in section:
        if kind == "a" and value.lower() in Direction._value2member_map_:
            return Direction(value.lower())
    return default


def _origin(value: str) -> tuple[str, int, int]:
    words = value.split()
    if len(words) < 3 or not all(_is_number(word, 2**64) for word in words[1:3]):
        return "-", 0, 0
    return words[0], int(words[1]), int(words[2])


def _host(connection: str) -> str:
    """The address of a c-line; a multicast TTL is cut off."""
    words = connection.split()
    if len(words) != 3 or words[0] != "IN" or words[1] not in ("IP4", "IP6"):
        raise BodyError("a connection line of the SDP is not valid")
    return words[2].partition("/")[0]


def _connection(host: str) -> str:
    host = bare(host) or "0.0.0.0"  # noqa: S104  # what an origin without an address says
    return f"IN IP{6 if ':' in host else 4} {host}"


def _is_number(text: str, most: int) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 20 and int(text) <= most

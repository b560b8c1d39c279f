"""Offer and answer (RFC 3264) for a recorder and for the load generator that faces it.

Pure. A recorder takes what it can decode, in the offer's order, and never sends; labels
(RFC 4574) come back so that both sides mean the same stream.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from .errors import BodyError, NoCommonCodec
from .sdp import PCMA, PCMU, TELEPHONE_EVENT, Codec, Direction, MediaLine, SessionDescription

RECORDER_CODECS = (PCMU, PCMA, TELEPHONE_EVENT)
TRANSPORTS = ("RTP/AVP",)

_ANSWERED = {
    Direction.SENDRECV: Direction.RECVONLY,
    Direction.SENDONLY: Direction.RECVONLY,
    Direction.RECVONLY: Direction.INACTIVE,
    Direction.INACTIVE: Direction.INACTIVE,
}


@dataclasses.dataclass(frozen=True, slots=True)
class AudioLine:
    """An audio line that both sides can use; `index` is its place among the m-lines.

    `codecs` keep the payload types and order of the peer; `host` and `port` are the peer's.
    `paused` is True when the peer will send nothing now (a=inactive, a=recvonly).
    """

    index: int
    label: str
    codecs: tuple[Codec, ...]
    direction: Direction
    host: str
    port: int
    ptime: int | None
    held: bool

    @property
    def payload_types(self) -> dict[int, str]:
        """Payload type → codec name in lower case."""
        return {codec.payload_type: codec.name for codec in self.codecs}

    @property
    def paused(self) -> bool:
        """True when the peer sends nothing on this line now."""
        return self.direction in (Direction.INACTIVE, Direction.RECVONLY)


def usable_lines(
    peer: SessionDescription,
    codecs: Sequence[Codec] = RECORDER_CODECS,
    transports: Sequence[str] = TRANSPORTS,
) -> tuple[AudioLine, ...]:
    """The audio lines of an offer (or an answer) that can be used, in order.

    Other media, other transports (RTP/SAVP), port 0 and lines without a common audio codec are
    left out. Raises NoCommonCodec when nothing is left.
    """
    known = {codec.encoding for codec in codecs}
    lines: list[AudioLine] = []
    for index, media in enumerate(peer.media):
        common = tuple(codec for codec in media.codecs if codec.encoding in known)
        audible = any(codec.name not in ("telephone-event", "cn") for codec in common)
        if media.kind == "audio" and media.port and media.transport in transports and audible:
            lines.append(
                AudioLine(
                    index=index,
                    label=media.label,
                    codecs=common,
                    direction=media.direction,
                    host=media.host,
                    port=media.port,
                    ptime=media.ptime,
                    held=media.held,
                )
            )
    if not lines:
        raise NoCommonCodec("the description has no audio line with a codec that can be taken")
    return tuple(lines)


def build_answer(
    offer: SessionDescription,
    lines: Sequence[AudioLine],
    ports: Mapping[int, int],
    *,
    host: str,
    session_id: int,
    version: int = 0,
) -> SessionDescription:
    """Answer an offer: `ports` gives our port by m-line index; other lines get port 0.

    As many m-lines as the offer, in its order (RFC 3264 §6); `version` rises with every new
    answer of the same session (§8).
    """
    taken = {line.index: line for line in lines if line.index in ports}
    media = [
        _accepted(taken[index], line, ports[index])
        if index in taken
        else MediaLine(line.kind, 0, line.transport, line.formats)
        for index, line in enumerate(offer.media)
    ]
    return SessionDescription(
        media=tuple(media),
        host=host,
        session_id=session_id,
        version=version,
        timing=offer.timing,
    )


def _accepted(taken: AudioLine, offered: MediaLine, port: int) -> MediaLine:
    return MediaLine(
        kind="audio",
        port=port,
        transport=offered.transport,
        codecs=taken.codecs,
        direction=_ANSWERED[taken.direction],
        label=taken.label,
        ptime=taken.ptime,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class OfferedStream:
    """One audio stream of an offer that we write."""

    port: int
    codecs: tuple[Codec, ...] = RECORDER_CODECS
    direction: Direction = Direction.SENDRECV
    label: str = ""
    ptime: int | None = 20


def build_offer(
    streams: Sequence[OfferedStream], *, host: str, session_id: int, version: int = 0
) -> SessionDescription:
    """Offer these audio streams: a load generator's offer, or a recorder's in a 2xx."""
    media = tuple(
        MediaLine(
            kind="audio",
            port=stream.port,
            codecs=stream.codecs,
            direction=stream.direction,
            label=stream.label,
            ptime=stream.ptime,
        )
        for stream in streams
    )
    return SessionDescription(media=media, host=host, session_id=session_id, version=version)


def read_answer(offer: SessionDescription, answer: SessionDescription) -> tuple[AudioLine, ...]:
    """The lines of our offer that the peer took; labels of the offer where it gave none.

    Raises BodyError when the answer has other m-lines than the offer (RFC 3264 §6), and
    NoCommonCodec when it took none.
    """
    if [line.kind for line in answer.media] != [line.kind for line in offer.media]:
        raise BodyError("the answer has other media lines than the offer")
    codecs = [codec for line in offer.media for codec in line.codecs]
    lines = usable_lines(answer, codecs)
    return tuple(
        dataclasses.replace(line, label=line.label or offer.media[line.index].label)
        for line in lines
    )

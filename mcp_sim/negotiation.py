"""The recorder's side of the offers and answers of one dialog (RFC 3264).

Pure. The recorder takes what the peer offers and only receives. Where the peer asks for an offer
(an INVITE or re-INVITE without one), it offers what is agreed already, or else one audio line.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from mcp_sim.sip.offer_answer import (
    RECORDER_CODECS,
    AudioLine,
    OfferedStream,
    build_answer,
    build_offer,
    read_answer,
    usable_lines,
)
from mcp_sim.sip.sdp import Direction, SessionDescription

OUR_LINE = AudioLine(
    index=0, label="", codecs=RECORDER_CODECS, direction=Direction.SENDRECV,
    host="", port=9, ptime=None, held=False,
)  # fmt: skip
"""The line of an offer of ours; the peer's side of it is not known yet."""


def read_change(offer: SessionDescription) -> tuple[AudioLine, ...]:
    """The lines of a later offer that can be recorded; none where it takes all of them away.

    Raises `NoCommonCodec` when it has lines and none can be taken.
    """
    return usable_lines(offer) if any(media.port for media in offer.media) else ()


class Negotiation:
    """What was said last. `host` is where RTP is received, `session_id` names our descriptions."""

    def __init__(self, host: str, session_id: int) -> None:
        self._host = host
        self._session_id = session_id
        self._version = 0
        self._ours: SessionDescription | None = None
        self._offered = False

    @property
    def waiting(self) -> bool:
        """Whether an offer of ours waits for the peer's answer."""
        return self._offered

    def answer(
        self, offer: SessionDescription, lines: Sequence[AudioLine], ports: Mapping[int, int]
    ) -> bytes:
        """Answer an offer; `ports` gives ours by m-line, other lines are refused."""
        self._version += 1
        answer = build_answer(
            offer, lines, ports, host=self._host, session_id=self._session_id,
            version=self._version,
        )  # fmt: skip
        return self._say(answer, offered=False)

    def offer(self, port: int) -> bytes:
        """Offer what is agreed already (RFC 3264 §8: as many lines as before), all of it to be
        sent again; at first one line on `port`.
        """
        self._version += 1
        if self._ours is None:
            stream = OfferedStream(port, direction=Direction.RECVONLY)
            offer = build_offer(
                [stream], host=self._host, session_id=self._session_id, version=self._version
            )
        else:
            media = tuple(
                dataclasses.replace(line, direction=Direction.RECVONLY) for line in self._ours.media
            )
            offer = dataclasses.replace(self._ours, media=media, version=self._version)
        return self._say(offer, offered=True)

    def read_answer(self, body: bytes) -> tuple[AudioLine, ...]:
        """The lines of our offer that the peer took. Raises `BodyError`, also for none."""
        assert self._ours is not None
        self._offered = False
        return read_answer(self._ours, SessionDescription.parse(body))

    def _say(self, ours: SessionDescription, *, offered: bool) -> bytes:
        self._ours, self._offered = ours, offered
        return ours.encode()

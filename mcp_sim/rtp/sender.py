"""Sends many RTP streams on one clock, for the load generator.

Streams are spread evenly over the frame's 20 ms, so that a thousand of them do not send at the same
instant. Each may start and stop at any time. When the process was held up, what is overdue is sent
at once, late but complete, and `worst_lag_ns` says how late. Impaired streams are looked after in
every phase, because their packets may leave at any time.
"""

from __future__ import annotations

import asyncio
import time

from mcp_sim.rtp.impairment.fate import LegFate
from mcp_sim.rtp.packet_block import FrameSource, StreamFormat
from mcp_sim.rtp.stream import RtpStream, StreamReport

SLOT_MS = 4
"""How far apart the phases of streams are. Waking up costs as much as sending ten packets."""
_SLOT_NS = SLOT_MS * 1_000_000


class RtpSender:
    """Drives streams. One `run()` per sender, or `send_due()` from a loop of one's own.

    >>> sender = RtpSender("127.0.0.1")
    >>> stream = sender.open()          # stream.address goes into the SDP
    >>> sender.start(stream, ("127.0.0.1", 40000), frames, StreamFormat(payload_type=8))
    >>> report = sender.stop(stream)    # what was sent, and when the first packet left
    """

    def __init__(self, host: str = "127.0.0.1", *, frame_ms: int = 20) -> None:
        if frame_ms <= 0 or frame_ms % SLOT_MS:
            raise ValueError(f"a frame time of {frame_ms} ms is not a multiple of {SLOT_MS} ms")
        self._host = host
        self._slots: list[dict[RtpStream, None]] = [{} for _ in range(frame_ms // SLOT_MS)]
        self._slot_of: dict[RtpStream, int] = {}
        self._impaired: dict[RtpStream, int] = {}
        self._opened: set[RtpStream] = set()
        self._slot = 0
        self._due_ns: int | None = None
        self._started = asyncio.Event()
        self.worst_lag_ns = 0

    @property
    def active(self) -> int:
        """How many streams are sending."""
        return len(self._slot_of)

    def open(self) -> RtpStream:
        """Return a new stream with a bound socket; it sends nothing yet. Raises `OSError`."""
        stream = RtpStream(self._host)
        self._opened.add(stream)
        return stream

    def start(
        self,
        stream: RtpStream,
        target: tuple[str, int],
        source: FrameSource,
        form: StreamFormat,
        *,
        beside: RtpStream | None = None,
        fate: LegFate | None = None,
    ) -> None:
        """Begin to send `source` to `target`: the first packet leaves within one frame time.

        The stream ends by itself where its source ends. With `beside`, a stream that is sending,
        both send at the same instants from now on. With a `fate` the stream is impaired. Raises
        `OSError`.
        """
        slot = self._emptiest_slot() if beside is None else self._slot_of[beside]
        self._leave(stream)
        stream.prepare(target, source, form, fate)
        if not self._slot_of:
            self._due_ns = None  # the time without streams is not caught up
        if fate is None:
            self._slots[slot][stream] = None
        else:
            self._impaired[stream] = slot
        self._slot_of[stream] = slot
        self._started.set()

    def sending(self, stream: RtpStream) -> bool:
        """Say whether the stream has started, and neither stopped nor ended."""
        return stream in self._slot_of

    def stop(self, stream: RtpStream) -> StreamReport:
        """Send nothing more on this stream; return what it sent."""
        self._leave(stream)
        return stream.report()

    def close(self, stream: RtpStream) -> StreamReport:
        """Stop the stream and close its socket."""
        report = self.stop(stream)
        stream.close()
        self._opened.discard(stream)
        return report

    def close_all(self) -> None:
        """Close every stream."""
        for stream in list(self._opened):
            self.close(stream)

    def send_due(self, now_ns: int) -> int:
        """Send what is due at `now_ns` (CLOCK_MONOTONIC); return when to call again."""
        if self._due_ns is None:
            self._due_ns = now_ns
        while self._slot_of and self._due_ns <= now_ns:
            streams = self._slots[self._slot]
            if streams:
                self.worst_lag_ns = max(self.worst_lag_ns, now_ns - self._due_ns)
                self._send_slot(streams)
            if self._impaired:
                self.worst_lag_ns = max(self.worst_lag_ns, now_ns - self._due_ns)
                self._send_impaired(self._due_ns)
            self._slot = (self._slot + 1) % len(self._slots)
            self._due_ns += _SLOT_NS
        return self._due_ns

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            if not self._slot_of:
                self._started.clear()
                await self._started.wait()
            due_ns = self.send_due(time.monotonic_ns())
            await asyncio.sleep(max(0.0, (due_ns - time.monotonic_ns()) / 1e9))

    def _emptiest_slot(self) -> int:
        count = len(self._slots)
        order = [(self._slot + step) % count for step in range(count)]
        return min(order, key=lambda index: len(self._slots[index]))

    def _send_slot(self, streams: dict[RtpStream, None]) -> None:
        ended = [stream for stream in streams if not stream.send_next()]
        for stream in ended:
            self._leave(stream)

    def _send_impaired(self, due_ns: int) -> None:
        for stream, slot in list(self._impaired.items()):
            if not stream.send_until(due_ns, may_begin=slot == self._slot):
                self._leave(stream)

    def _leave(self, stream: RtpStream) -> None:
        slot = self._slot_of.pop(stream, None)
        if slot is not None:
            self._slots[slot].pop(stream, None)
            self._impaired.pop(stream, None)

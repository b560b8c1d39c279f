"""One leg's packets on their way from the journal to its canvas, and what became of them.

Only payload types that carry audio move audio: a source that never sends any is ignored.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mcp_sim.recording.timeline.arrivals import Arrivals
from mcp_sim.recording.timeline.canvas import Canvas
from mcp_sim.recording.timeline.outline import SAMPLE_RATE, Leg, Outline
from mcp_sim.recording.timeline.painter import CODECS, NO_SOUND, Painter
from mcp_sim.recording.timeline.sequence import SequenceCount
from mcp_sim.recording.timeline.source_clock import AudioPackets, PlacedPackets, SourceClock
from mcp_sim.rtp.packets import unwrap
from recording_format.lab import LegReport

MAX_SOURCES = 64
"""SSRCs with audio that one leg may have; the packets of further ones are `ignored`."""
OPENING = SAMPLE_RATE // 4
"""Samples: a source that begins this soon after t0 belongs to the opening of the call."""
_BEFORE = SAMPLE_RATE // 200
_USUAL_SAMPLES = 160


class _Source:
    """One SSRC: its counters, its clock and its last timestamp. It `began` at its first arrival."""

    def __init__(self, began: int) -> None:
        self.began = began
        self.count = SequenceCount()
        self.clock = SourceClock()
        self.timestamp: int | None = None
        self.samples = _USUAL_SAMPLES


class LegTrack:
    """Takes one leg's packets in the order of arrival and paints what can be placed.

    Nothing is painted before `open` has said by how much the whole call is shifted.
    """

    def __init__(self, leg: Leg, length: int) -> None:
        """`length` is the call's, in samples."""
        self.leg = leg
        self.canvas = Canvas(length)
        self.ignored = 0
        self._painter = Painter(self.canvas)
        self._sources: dict[int, _Source] = {}
        self._codec = ""
        self._shift: int | None = None
        self._held: list[tuple[_Source, PlacedPackets]] = []
        self._kinds = np.full(128, NO_SOUND, np.int64)
        for number, codec in leg.payload_types.items():
            if codec in CODECS and 0 <= number < 128:
                self._kinds[number] = CODECS.index(codec)

    def take(self, arrivals: Arrivals) -> None:
        """Take packets of this leg."""
        kinds = self._kinds[arrivals.payload_type]
        for ssrc in _by_appearance(arrivals.ssrc):
            index = np.flatnonzero(arrivals.ssrc == ssrc)
            self._take_source(ssrc, arrivals.select(index), kinds[index])

    def settle(self, now: int, *, final: bool = False) -> None:
        """Paint what can be placed at `now` (samples); at the end (`final`) that is all."""
        for source in self._sources.values():
            self._paint(source, source.clock.settle(now, final=final))

    def early(self) -> int:
        """Return by how many samples the opening's sound would begin before t0.

        That is: of sources whose first packet came behind t0, so that nothing of them was sent
        before the call began.
        """
        begins = [
            int(placed.position.min())
            for source, placed in self._held
            if -_BEFORE <= source.began <= OPENING
        ]
        return max(0, -min(begins, default=0))

    def open(self, shift: int) -> None:
        """Shift everything by `shift` samples, and begin to paint."""
        self._shift = shift
        held, self._held = self._held, []
        for source, placed in held:
            self._paint(source, [placed])

    def report(self, call: Outline) -> LegReport:
        """Return what became of the packets."""
        counts = [source.count for source in self._sources.values()]
        closed_ns = call.end_ns if self.leg.closed_ns is None else self.leg.closed_ns
        return LegReport(
            label=self.leg.label,
            channel=self.leg.channel,
            codec=self._codec,
            packets=sum(count.packets for count in counts),
            lost=sum(count.lost for count in counts),
            late=self._painter.late,
            duplicate=sum(count.duplicate for count in counts),
            silent_ms=_milliseconds(self._silent()),
            paused_ms=round(call.paused_ns(self.leg.opened_ns, closed_ns) / 1_000_000),
            offset_ms=_milliseconds(max(0, self._painter.first or 0)),
            other=self._losses_here() | self._corrected(),
        )

    def _losses_here(self) -> dict[str, object]:
        """Return what was lost on this machine and not on the way, where anything was."""
        counts = {"dropped": self.leg.dropped, "overflowed": self.leg.overflowed}
        return {name: count for name, count in counts.items() if count}

    def _corrected(self) -> dict[str, object]:
        """Return what was put in (taken out: below 0) because the sender's clock drifted."""
        samples = sum(source.clock.corrected for source in self._sources.values())
        return {"correctedMs": round(samples * 1000 / SAMPLE_RATE, 3)} if samples else {}

    def _silent(self) -> int:
        """Return the samples between the first and the last packet that nobody sent."""
        if self._painter.first is None:
            return 0
        lost = sum(source.count.lost * source.samples for source in self._sources.values())
        span = self._painter.last - self._painter.first
        return max(0, span - self._painter.covered - lost)

    def _take_source(self, ssrc: int, arrivals: Arrivals, kinds: npt.NDArray[np.int64]) -> None:
        audio = kinds != NO_SOUND
        source = self._source(ssrc, arrivals, audio)
        if source is None:
            self.ignored += len(arrivals)
            return
        self.ignored += int(np.count_nonzero(~audio))
        numbers, fresh = source.count.take(
            arrivals.sequence, arrivals.timestamp, audio, source.samples
        )
        if fresh.any():
            packets = _audio(source, arrivals.select(fresh), numbers[fresh], kinds[fresh])
            self._codec = self._codec or CODECS[int(kinds[fresh][0])]
            self._paint(source, source.clock.take(packets))

    def _source(
        self, ssrc: int, arrivals: Arrivals, audio: npt.NDArray[np.bool_]
    ) -> _Source | None:
        source = self._sources.get(ssrc)
        if source is None and audio.any() and len(self._sources) < MAX_SOURCES:
            source = self._sources[ssrc] = _Source(int(arrivals.at[np.argmax(audio)]))
        return source

    def _paint(self, source: _Source, pieces: list[PlacedPackets]) -> None:
        if self._shift is None:
            self._held += [(source, placed) for placed in pieces]
            return
        for placed in pieces:
            self._painter.paint(placed, self._shift)


def _audio(
    source: _Source,
    arrivals: Arrivals,
    numbers: npt.NDArray[np.int64],
    kinds: npt.NDArray[np.int64],
) -> AudioPackets:
    """Return the packets with unwrapped timestamps.

    What came in a pause keeps its place in the sequence and in time, but has no sound.
    """
    timestamp = unwrap(arrivals.timestamp, 32, source.timestamp)
    source.timestamp = int(timestamp[-1])
    source.samples = int(arrivals.size.max()) or source.samples
    empty = arrivals.size == 0
    return AudioPackets(
        arrivals.at,
        numbers,
        timestamp,
        np.where(empty, source.samples, arrivals.size),
        arrivals.offset,
        np.where(empty | arrivals.unheard, NO_SOUND, kinds),
        arrivals.data,
    )


def _by_appearance(ssrcs: npt.NDArray[np.int64]) -> list[int]:
    if (ssrcs == ssrcs[0]).all():
        return [int(ssrcs[0])]
    first = np.sort(np.unique(ssrcs, return_index=True)[1])
    return [int(ssrc) for ssrc in ssrcs[first]]


def _milliseconds(samples: int) -> int:
    return round(samples * 1000 / SAMPLE_RATE)

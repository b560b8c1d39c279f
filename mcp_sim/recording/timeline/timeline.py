"""From a call's packets to its sound: blocks of samples on the call's clock, in bounded memory.

Exactly `Outline.samples` samples per channel come out, whatever went in: silence where nothing came
and in every pause. A source's packets lie where their RTP timestamps say, the sources lie where
their anchors say, and packets may come in any order within `HORIZON`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from mcp_sim.recording.journal.frames import PacketBatch
from mcp_sim.recording.timeline.arrivals import Arrivals, read_arrivals
from mcp_sim.recording.timeline.canvas import mix
from mcp_sim.recording.timeline.leg_track import OPENING, LegTrack
from mcp_sim.recording.timeline.outline import SAMPLE_RATE, Outline
from mcp_sim.recording.timeline.source_clock import ANCHOR_WINDOW
from recording_format.lab import LegReport

Block = npt.NDArray[np.int16]

HORIZON = 30 * SAMPLE_RATE
"""Samples: what is older than this, seen from the last arrival, is handed out."""
_STRIDE = 10 * SAMPLE_RATE
_LONGEST_BLOCK = 10 * SAMPLE_RATE


class Timeline:
    """Takes batches in the order of arrival: `write` … `finish`; both give finished blocks.

    A block is int16[channels, n]: left and right for two channels, the mix of all legs for one.
    """

    def __init__(self, call: Outline, *, channels: int) -> None:
        self._call = call
        self._channels = channels
        self._tracks = {number: LegTrack(leg, call.samples) for number, leg in call.legs.items()}
        self._rows = _rows(list(self._tracks.values()), channels)
        self._given = 0
        self._now = 0
        self._opened = False
        self.strangers = 0

    def write(self, batch: PacketBatch) -> Iterator[Block]:
        """Take packets; give the blocks that nothing can change any more."""
        arrivals = read_arrivals(batch, self._call)
        begin = 0
        while begin < len(arrivals):
            # In strides of time, so that a batch that spans hours needs no more memory.
            beyond = arrivals.at[begin:] > arrivals.at[begin] + _STRIDE
            end = begin + int(np.argmax(beyond)) if beyond.any() else len(arrivals)
            # What is finished goes out first, so that a canvas never spans more than the horizon.
            self._advance(int(arrivals.at[begin]))
            yield from self._give(self._now - HORIZON)
            self._take(arrivals.select(slice(begin, end)))
            begin = end

    def finish(self) -> Iterator[Block]:
        """Give the rest of the call."""
        self._advance(self._now, final=True)
        yield from self._give(self._call.samples, final=True)

    def reports(self) -> list[LegReport]:
        """Return what became of each leg; complete behind `finish`."""
        return [track.report(self._call) for track in self._tracks.values()]

    def _take(self, arrivals: Arrivals) -> None:
        self._now = max(self._now, int(arrivals.at.max()))
        for leg in np.unique(arrivals.leg).tolist():
            track = self._tracks.get(leg)
            chosen = np.flatnonzero(arrivals.leg == leg)
            if track is None:
                self.strangers += len(chosen)
                continue
            track.take(arrivals.select(chosen))

    def _advance(self, now: int, *, final: bool = False) -> None:
        """Let the call's clock reach `now`: what was watched for long enough finds its place."""
        self._now = max(self._now, now)
        for track in self._tracks.values():
            track.settle(self._now, final=final)
        if final or self._now >= OPENING + ANCHOR_WINDOW:
            self._open()

    def _open(self) -> None:
        """Let the painting begin, with all legs shifted alike.

        A first packet that travelled a little slower than those behind it would lie before t0,
        although it came after it. Delay is common to all, so the legs stay right to each other.
        """
        if self._opened:
            return
        self._opened = True
        shift = max((track.early() for track in self._tracks.values()), default=0)
        for track in self._tracks.values():
            track.open(min(shift, OPENING))

    def _give(self, until: int, *, final: bool = False) -> Iterator[Block]:
        until = min(until, self._call.samples)
        while self._given < until and (final or until - self._given >= _LONGEST_BLOCK):
            count = min(until - self._given, _LONGEST_BLOCK)
            yield self._block(count)
            self._given += count

    def _block(self, count: int) -> Block:
        # Laid out sample by sample, as the containers want it.
        block = np.zeros((count, self._channels), np.int16).T
        for row, tracks in enumerate(self._rows):
            if tracks:
                block[row] = mix([track.canvas.take(count) for track in tracks])
        for begin_ns, end_ns in self._call.pauses:
            begin = max(self._call.position(begin_ns) - self._given, 0)
            end = self._call.position(end_ns) - self._given
            if end > 0:
                block[:, begin:end] = 0
        return block


def _rows(tracks: list[LegTrack], channels: int) -> list[list[LegTrack]]:
    """Return the legs of each row of a block."""
    if channels == 1:
        return [tracks]
    return [[track for track in tracks if track.leg.channel == side] for side in ("left", "right")]

"""Decodes placed packets onto a leg's canvas, and keeps account of what they cover."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from mcp_sim.recording.timeline.canvas import Canvas, Samples
from mcp_sim.recording.timeline.codec import AUDIO_CODECS, decode
from mcp_sim.recording.timeline.source_clock import Int64s, PlacedPackets

CODECS = sorted(AUDIO_CODECS)
"""Numbers the codecs: a packet's `kind` is a place in this list."""
NO_SOUND = -1
"""The `kind` of a packet that has its place, but nothing to be heard."""


class Painter:
    """Paints on one `canvas`.

    `first` (None before any packet) and `last` are the ends of what the packets span, in samples on
    the call's clock; `covered` is how many samples packets account for; `late` counts packets whose
    place had been handed out already.
    """

    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas
        self.first: int | None = None
        self.last = 0
        self.covered = 0
        self.late = 0

    def paint(self, placed: PlacedPackets, shift: int) -> None:
        """Paint the packets, each `shift` samples later than its position."""
        packets, position = placed.packets, placed.position + shift
        if not len(packets):
            return
        lowest, highest = int(position.min()), int((position + placed.length).max())
        self.last = highest if self.first is None else max(self.last, highest)
        self.first = lowest if self.first is None else min(self.first, lowest)
        self.covered += int(placed.length.sum())
        for kind in _distinct(packets.kind):
            if kind == NO_SOUND:
                continue
            of_kind = packets.kind == kind
            for size in _distinct(packets.size[of_kind]):
                chosen = of_kind & (packets.size == size)
                payloads = sliding_window_view(packets.data, size)[packets.offset[chosen]]
                rows = decode(CODECS[kind], payloads)
                self.late += self._paint(position[chosen], placed.length[chosen], rows)

    def _paint(self, position: Int64s, length: Int64s, rows: Samples) -> int:
        """Paint rows, each as long as it shall be; return how many came too late."""
        if (length == rows.shape[1]).all():
            return self.canvas.paint(position, rows)
        late = 0
        for size in _distinct(length):
            if size <= 0:
                continue
            chosen = length == size
            late += self.canvas.paint(position[chosen], _fitted(rows[chosen], size))
        return late


def _fitted(rows: Samples, size: int) -> Samples:
    """Return int16[N, size]: cut, or its last sample held, at the end where packets meet."""
    if size <= rows.shape[1]:
        return rows[:, :size]
    return np.pad(rows, ((0, 0), (0, size - rows.shape[1])), "edge")


def _distinct(values: Int64s) -> list[int]:
    first = int(values[0])
    return [first] if (values == first).all() else np.unique(values).tolist()

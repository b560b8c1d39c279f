"""Where one source's packets belong on the call's clock.

A source (one SSRC) is anchored once, at the minimum of (arrival - RTP time) over its first seconds:
the packet that travelled fastest shows best when its sound was made, and bunching shifts nothing.
From then on the RTP timestamp alone places a packet. The anchor is chosen anew only when timestamps
and arrivals part for good: a clock set anew, or one that stood still while nothing was sent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]

ANCHOR_WINDOW = 5 * 8000
"""Samples: how long a source is watched before it is anchored."""
PARTED = 8000
"""Samples: arrival and timestamp may be this far apart before the anchor is looked at again."""
_ANCHORS_KEPT = 4


@dataclass(frozen=True, slots=True, eq=False)
class AudioPackets:
    """N audio packets of one source in the order of arrival, as int64[N] columns.

    `arrival` is in samples on the call's clock; `number` and `timestamp` are unwrapped; `size` is
    samples, `offset` where the payload begins in `data`, `kind` the number of its codec.
    """

    arrival: Int64s
    number: Int64s
    timestamp: Int64s
    size: Int64s
    offset: Int64s
    kind: Int64s
    data: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.arrival)

    def select(self, which: slice | npt.NDArray[np.bool_]) -> AudioPackets:
        """Return some of the packets."""
        return AudioPackets(
            self.arrival[which],
            self.number[which],
            self.timestamp[which],
            self.size[which],
            self.offset[which],
            self.kind[which],
            self.data,
        )


@dataclass(frozen=True, slots=True, eq=False)
class PlacedPackets:
    """Packets and their int64[N] positions on the call's clock, in samples."""

    packets: AudioPackets
    position: Int64s


class SourceClock:
    """Places the packets of one source; may keep some back until it has seen enough."""

    def __init__(self) -> None:
        self._waiting: list[AudioPackets] = []
        self._anchor: int | None = None
        self._anchors: list[int] = []

    def take(self, packets: AudioPackets) -> list[PlacedPackets]:
        """Take packets behind the ones taken before; return what can be placed."""
        if self._waiting or self._anchor is None:
            self._waiting.append(packets)
            return []
        placed, rest = self._place(packets, self._anchor)
        if rest is not None:
            self._waiting.append(rest)
        return placed

    def settle(self, now: int, *, final: bool = False) -> list[PlacedPackets]:
        """Return what can be placed at `now` (samples); at the end (`final`) that is all."""
        placed: list[PlacedPackets] = []
        while self._waiting and (final or now - int(self._waiting[0].arrival[0]) >= ANCHOR_WINDOW):
            waiting = join(self._waiting)
            self._waiting = []
            watched = _watched(waiting)
            anchor = self._choose_anchor(waiting.select(slice(watched)))
            placed.append(_at(waiting.select(slice(watched)), anchor))
            if watched < len(waiting):
                more, rest = self._place(waiting.select(slice(watched, None)), anchor)
                placed += more
                if rest is not None:
                    self._waiting.append(rest)
        return placed

    def _place(
        self, packets: AudioPackets, anchor: int
    ) -> tuple[list[PlacedPackets], AudioPackets | None]:
        """Place packets up to the first whose arrival does not fit to the anchor."""
        delay = packets.arrival - packets.timestamp - anchor
        if int(delay.min()) >= -PARTED and int(delay.max()) <= PARTED:
            return [_at(packets, anchor)], None
        good = int(np.argmax(np.abs(delay) > PARTED))
        placed = [_at(packets.select(slice(good)), anchor)] if good else []
        return placed, packets.select(slice(good, None))

    def _choose_anchor(self, watched: AudioPackets) -> int:
        """Return an anchor used before if it still fits: a delay that passed changes nothing."""
        lowest = int((watched.arrival - watched.timestamp).min())
        near = min(self._anchors, key=lambda anchor: abs(anchor - lowest), default=None)
        if near is not None and abs(near - lowest) <= PARTED:
            self._anchor = near
        else:
            self._anchor = lowest
            self._anchors = [*self._anchors, lowest][-_ANCHORS_KEPT:]
        return self._anchor


def join(parts: list[AudioPackets]) -> AudioPackets:
    """Return the packets of several pieces as one."""
    if len(parts) == 1:
        return parts[0]
    if all(part.data is parts[0].data for part in parts):
        data, shifts = parts[0].data, [0] * len(parts)
    else:
        data = np.concatenate([part.data for part in parts])
        shifts = np.cumsum([0, *(len(part.data) for part in parts[:-1])]).tolist()
    return AudioPackets(
        np.concatenate([part.arrival for part in parts]),
        np.concatenate([part.number for part in parts]),
        np.concatenate([part.timestamp for part in parts]),
        np.concatenate([part.size for part in parts]),
        np.concatenate([part.offset + by for part, by in zip(parts, shifts, strict=True)]),
        np.concatenate([part.kind for part in parts]),
        data,
    )


def _watched(packets: AudioPackets) -> int:
    """Return how many packets an anchor is chosen from: the first seconds, up to a break.

    A break is where the timestamp jumps in a way that neither the sequence number nor the time of
    arrival explains.
    """
    count = int(np.argmax(packets.arrival - packets.arrival[0] > ANCHOR_WINDOW)) or len(packets)
    arrival, timestamp = packets.arrival[:count], packets.timestamp[:count]
    steps = np.diff(timestamp)
    parted = np.abs(np.diff(arrival) - steps) > PARTED
    if not parted.any():
        return count
    parted &= steps != np.diff(packets.number[:count]) * packets.size[: count - 1]
    return int(np.argmax(parted)) + 1 if parted.any() else count


def _at(packets: AudioPackets, anchor: int) -> PlacedPackets:
    return PlacedPackets(packets, packets.timestamp + anchor)

"""Where one source's packets belong on the call's clock.

A source (one SSRC) is anchored at the minimum of (arrival - RTP time) over its first seconds: the
packet that travelled fastest shows best when its sound was made, and bunching shifts nothing. From
then on the RTP timestamp alone places a packet, with the small corrections of a drifting clock. The
anchor is chosen anew when timestamps and arrivals part for good (a clock set anew, or one that
stood still while nothing was sent), and behind a long silence, where nobody hears it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcp_sim.recording.timeline.clock_drift import GAP, TOLERATED, Correction, DriftWatch

Int64s = npt.NDArray[np.int64]

ANCHOR_WINDOW = 5 * 8000
"""Samples: how long a source is watched before it is anchored."""
PARTED = 8000
"""Samples: arrival and timestamp may be this far apart before the anchor is looked at again."""
QUIET = ANCHOR_WINDOW
"""Samples: behind a longer silence (by arrival and by timestamp) the anchor may move at once."""
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
    """Packets and their int64[N] places on the call's clock, in samples.

    `length` int64[N] is how long each one's sound lasts there: its size, give or take a sample
    where the sender's clock is corrected.
    """

    packets: AudioPackets
    position: Int64s
    length: Int64s


class SourceClock:
    """Places the packets of one source; may keep some back until it has seen enough.

    `corrected` is how many samples were put in for its drift, less those taken out.
    """

    def __init__(self) -> None:
        self._waiting: list[AudioPackets] = []
        self._anchor: int | None = None
        self._anchors: list[int] = []
        self._correction = Correction()
        self._watch = DriftWatch()
        self._newest: tuple[int, int] | None = None  # arrival, timestamp
        self._rested = False
        self._corrected_before = 0

    @property
    def corrected(self) -> int:
        """Samples put in less samples taken out, on all anchors."""
        return self._corrected_before + self._reached

    @property
    def _reached(self) -> int:
        if self._newest is None:
            return 0
        return int(self._correction.at(np.array([self._newest[1]], np.int64))[0])

    def take(self, packets: AudioPackets) -> list[PlacedPackets]:
        """Take packets behind the ones taken before; return what can be placed."""
        if self._waiting or self._anchor is None:
            self._waiting.append(packets)
            return []
        placed, rest = self._place(packets)
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
            chosen = waiting.select(slice(watched))
            self._choose_anchor(chosen)
            self._note(chosen)
            placed.append(self._at(chosen))
            if watched < len(waiting):
                more, rest = self._place(waiting.select(slice(watched, None)))
                placed += more
                if rest is not None:
                    self._waiting.append(rest)
        return placed

    def _place(self, packets: AudioPackets) -> tuple[list[PlacedPackets], AudioPackets | None]:
        """Place packets up to the first whose arrival does not fit, or that ends a silence."""
        good = self._up_to_silence(packets)
        done = 0
        while done < good:
            window = self._watch.window(packets.arrival[done:good])
            count = min(window, self._up_to_gap(packets.timestamp[done:good]))
            fits = self._fits(packets.select(slice(done, done + count)))
            done += fits
            if fits < count:
                return self._placed(packets, done)
            if count == window and done < good:
                total = self._watch.close(self._correction.total)
                self._correction.aim(total, self._newest[1] if self._newest else 0)
        self._rested = self._rested or good < len(packets)
        return self._placed(packets, done)

    def _placed(
        self, packets: AudioPackets, count: int
    ) -> tuple[list[PlacedPackets], AudioPackets | None]:
        """Place so many packets; return the others as they are.

        All at once: what has been corrected behind a packet changes nothing at it.
        """
        if count == len(packets):
            return [self._at(packets)], None
        placed = [self._at(packets.select(slice(count)))] if count else []
        return placed, packets.select(slice(count, None))

    def _fits(self, packets: AudioPackets) -> int:
        """Return how many packets come before the first that is far from its place; watch them."""
        if not len(packets):
            return 0
        excess = packets.arrival - packets.timestamp - (self._anchor or 0)
        steady = self._correction.steady
        delay = excess - (self._correction.at(packets.timestamp) if steady is None else steady)
        fits = len(packets)
        if int(delay.min()) < -PARTED or int(delay.max()) > PARTED:
            fits = int(np.argmax(np.abs(delay) > PARTED))
        self._watch.take(excess[:fits])
        if fits:
            self._note(packets.select(slice(fits)))
        return fits

    def _note(self, packets: AudioPackets) -> None:
        """Remember the newest packet."""
        arrival, timestamp = int(packets.arrival[-1]), int(packets.timestamp.max())
        if self._newest is not None:
            arrival, timestamp = max(arrival, self._newest[0]), max(timestamp, self._newest[1])
        self._newest = arrival, timestamp

    def _up_to_silence(self, packets: AudioPackets) -> int:
        """Return how many packets come before one that ends a long silence."""
        arrival, timestamp = self._newest or (int(packets.arrival[0]), int(packets.timestamp[0]))
        if int(packets.arrival.max()) - arrival <= QUIET:
            return len(packets)
        quiet = np.diff(packets.arrival, prepend=arrival) > QUIET
        if not quiet.any():
            return len(packets)
        quiet &= _steps(packets.timestamp, timestamp) > QUIET
        return int(np.argmax(quiet)) if quiet.any() else len(packets)

    def _up_to_gap(self, timestamp: Int64s) -> int:
        """Return how many packets come before the next silence; one behind them is corrected."""
        newest = self._newest[1] if self._newest else int(timestamp[0])
        if int(timestamp[0]) - newest <= GAP and not (np.diff(timestamp) > GAP).any():
            return len(timestamp)
        steps = _steps(timestamp, newest)
        if int(steps[0]) > GAP:
            self._correction.rest(newest, int(timestamp[0]))
        gaps = np.flatnonzero(steps[1:] > GAP)
        return int(gaps[0]) + 1 if len(gaps) else len(timestamp)

    def _choose_anchor(self, watched: AudioPackets) -> None:
        """Choose an anchor used before if it still fits: a delay that passed changes nothing.

        Behind a long silence the present one fits only if it is right to the tolerance of jitter.
        """
        lowest = int((watched.arrival - watched.timestamp).min())
        if self._anchor is not None:
            present = self._anchor + self._reached
            self._anchors[self._anchors.index(self._anchor)] = present
            self._anchor = present
        near = min(self._anchors, key=lambda anchor: abs(anchor - lowest), default=None)
        allowed = TOLERATED if self._rested else PARTED
        if near is not None and abs(near - lowest) <= allowed:
            self._anchor = near
        else:
            self._anchor = lowest
            self._anchors = [*self._anchors, lowest][-_ANCHORS_KEPT:]
        self._corrected_before += self._reached
        self._correction, self._watch, self._rested = Correction(), DriftWatch(), False
        self._newest = None

    def _at(self, packets: AudioPackets) -> PlacedPackets:
        """Place packets under the present anchor."""
        steady = self._correction.steady
        if steady is not None:
            place = packets.timestamp + ((self._anchor or 0) + steady)
            return PlacedPackets(packets, place, packets.size)
        begin = packets.timestamp + self._correction.at(packets.timestamp)
        stop = packets.timestamp + packets.size
        stop = stop + self._correction.at(stop)
        return PlacedPackets(packets, begin + (self._anchor or 0), stop - begin)


def _steps(timestamp: Int64s, newest: int) -> Int64s:
    """Return by how much each timestamp is ahead of all before it, `newest` included."""
    return np.diff(np.maximum(np.maximum.accumulate(timestamp), newest), prepend=newest)


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

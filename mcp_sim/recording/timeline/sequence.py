"""What became of one source's packets, told by their sequence numbers: lost, or come twice.

Packets that are no audio (telephone-event) share the numbers, so they fill gaps without being
counted. A sender that starts its numbers anew loses nothing by it (RFC 3550 appendix A.1).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from mcp_sim.rtp.packets import unwrap

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MAX_DROPOUT = 3000
"""A longer jump of the sequence number is a new start, unless the timestamp jumps along."""
_CYCLE = 1 << 16
_MEMORY = 4096
_NEVER = -1


class SequenceCount:
    """Counts one source's audio packets: `packets` (each once), `lost`, `duplicate`."""

    def __init__(self) -> None:
        self._run = _Run(_CYCLE)
        self._packets_before = self._lost_before = self._duplicate_before = 0
        self._newest: tuple[int, int] | None = None

    @property
    def packets(self) -> int:
        """Audio packets that came, each counted once."""
        return self._packets_before + self._run.packets

    @property
    def lost(self) -> int:
        """Audio packets that are missing between the first and the last one."""
        return self._lost_before + self._run.lost

    @property
    def duplicate(self) -> int:
        """Audio packets that came again."""
        return self._duplicate_before + self._run.duplicate

    def take(
        self, sequence: Int64s, timestamp: Int64s, audio: Bools, samples: int
    ) -> tuple[Int64s, Bools]:
        """Take packets in the order of arrival: columns of N.

        `samples` is how many a packet usually holds. Returns the numbers, unwrapped and growing
        over new starts (-1 where there is none), and which are audio packets seen the first time.
        """
        numbers = np.full(len(sequence), _NEVER, np.int64)
        fresh = np.zeros(len(sequence), np.bool_)
        index = np.flatnonzero(audio | self._near(sequence, audio))
        if not len(index):
            return numbers, fresh
        starts = self._new_starts(sequence[index], timestamp[index], samples)
        for begin, end in pairwise((0, *starts, len(index))):
            if begin in starts:
                self._begin_run()
            part = index[begin:end]
            if len(part):
                numbers[part], fresh[part] = self._run.take(sequence[part], audio[part])
        self._newest = int(sequence[index[-1]]), int(timestamp[index[-1]])
        return numbers, fresh

    def _near(self, sequence: Int64s, audio: Bools) -> Bools:
        """Say whose numbers are near to the audio's: others are counted by some other hand."""
        if audio.all():
            return audio
        if self._newest is not None:
            reference = self._newest[0]
        elif audio.any():
            reference = int(sequence[np.argmax(audio)])
        else:
            return audio
        return np.abs(_distance(sequence - reference)) <= MAX_DROPOUT

    def _new_starts(self, sequence: Int64s, timestamp: Int64s, samples: int) -> list[int]:
        """Return where a jump begins that is not a long loss, in which time goes on as well."""
        before, before_time = self._newest or (int(sequence[0]), int(timestamp[0]))
        steps = _distance(np.diff(sequence, prepend=before))
        far = np.abs(steps) > MAX_DROPOUT
        if not far.any():
            return []
        elapsed = _distance(np.diff(timestamp, prepend=before_time), 32)
        expected = steps * samples
        lost = (elapsed * 2 > expected) & (elapsed < expected * 2)
        return np.flatnonzero(far & ~lost).tolist()

    def _begin_run(self) -> None:
        run = self._run
        self._packets_before += run.packets
        self._lost_before += run.lost
        self._duplicate_before += run.duplicate
        self._run = _Run((run.last // _CYCLE + 2) * _CYCLE)


class _Run:
    """Packets whose numbers follow from each other."""

    def __init__(self, base: int) -> None:
        """Number the first packet `base` plus its own number."""
        self.packets = self.duplicate = 0
        self.last = base
        self._first: int | None = None
        self._previous: int | None = None
        self._base = base
        self._seen = np.full(_MEMORY, _NEVER, np.int64)
        self._fillers = 0
        self._coming = np.zeros(0, np.int64)  # fillers ahead of the last audio

    @property
    def lost(self) -> int:
        """Numbers between the first and the last audio that nothing came for."""
        if self._first is None:
            return 0
        return max(0, self.last - self._first + 1 - self.packets - self._fillers)

    def take(self, sequence: Int64s, audio: Bools) -> tuple[Int64s, Bools]:
        """Return the unwrapped numbers, and which are audio seen for the first time."""
        if self._previous is None:
            self._previous = self._base + int(sequence[0])
        numbers = unwrap(sequence, 16, self._previous)
        self._previous = int(numbers[-1])
        new = self._unseen(numbers)
        self._seen[numbers & (_MEMORY - 1)] = numbers
        fresh = new & audio
        self.duplicate += int(np.count_nonzero(audio & ~new))
        self._count_audio(numbers[fresh])
        if not audio.all():
            self._coming = np.append(self._coming, numbers[new & ~audio])
        self._count_fillers()
        return numbers, fresh

    def _unseen(self, numbers: Int64s) -> Bools:
        new: Bools = self._seen[numbers & (_MEMORY - 1)] != numbers
        if (np.diff(numbers) <= 0).any():
            once = np.zeros(len(numbers), np.bool_)
            once[np.unique(numbers, return_index=True)[1]] = True
            new &= once
        return new

    def _count_audio(self, numbers: Int64s) -> None:
        if not len(numbers):
            return
        self.packets += len(numbers)
        lowest = int(numbers.min())
        if self._first is None:
            self._first, self.last = lowest, lowest
        self._first = min(self._first, lowest)
        self.last = max(self.last, int(numbers.max()))

    def _count_fillers(self) -> None:
        """Fillers between audio packets are no losses; those around the audio mean nothing."""
        if not len(self._coming) or self._first is None:
            self._coming = self._coming[-_MEMORY:]
            return
        passed = self._coming < self.last
        self._fillers += int(np.count_nonzero(passed & (self._coming > self._first)))
        self._coming = self._coming[~passed][-_MEMORY:]


def _distance(steps: Int64s, bits: int = 16) -> Int64s:
    """Return differences of wrapping numbers as the nearer way round."""
    half = 1 << (bits - 1)
    return ((steps + half) & (2 * half - 1)) - half

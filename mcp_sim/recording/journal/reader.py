"""Reading a journal, also one whose writer was killed: plan and events first, packets as a stream.

Opening reads headers, plan and events and hops over the packets; `packets()` then decrypts them in
bounded memory. A tail that was cut off ends the journal at its last whole, authentic frame
(`torn`). Damage in the middle is stepped over and listed (`damage`), so that what lies behind it is
not lost.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from mcp_sim.recording.journal.frames import (
    HEADER_SIZE,
    PREAMBLE_LIMIT,
    BrokenFrameError,
    EmptyJournalError,
    FrameKind,
    FrameOpener,
    JournalError,
    PacketBatch,
    Preamble,
    decode_packets,
    decode_preamble,
    open_session_key,
    parse_header,
)
from mcp_sim.recording.journal.scan import Damage, read_frame, scan_frames
from mcp_sim.recording.keyring import SpoolKeyring
from mcp_sim.recording.plan import Event, PlanError, RecordingPlan, decode_event, decode_plan


class JournalReader:
    """One journal, opened for reading.

    - `plan`, `events` (in the order written), `session_key`, `recipients` (DER, empty for none)
    - `torn`: the end was cut off; `size`: bytes up to the end of the last authentic frame
    - `damage`: what could not be read before that; complete once `packets()` has ended
    """

    def __init__(self, path: Path, keyring: SpoolKeyring) -> None:
        """Read all but the packets. Raises `JournalError`, `KeyringError`, or `OSError` where
        trying later may help (too many open files).
        """
        self.path = path
        self.damage: list[Damage] = []
        self._packet_frames = array("Q")
        self._other_frames = array("Q")
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise JournalError(f"{path}: cannot be opened ({error.strerror})") from None
        try:
            preamble, start = self._read_preamble()
            self.recipients = preamble.recipients
            self.session_key = open_session_key(keyring, preamble.key_box)
            self._opener = FrameOpener(self.session_key, preamble)
            self._find_frames(start)
            self.plan, self.events = self._read_plan_and_events()
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, path: Path, keyring: SpoolKeyring) -> Self:
        """Open the journal at `path`. Raises as the constructor does."""
        return cls(path, keyring)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def packets(self, batch: int = 4096) -> Iterator[PacketBatch]:
        """Decrypt the packets, in batches of at least `batch` (the last one may be smaller).

        It may be called again. A damaged frame is stepped over and added to `damage`.
        """
        waiting: list[PacketBatch] = []
        count = 0
        for offset in self._packet_frames:
            try:
                waiting.append(decode_packets(self._open(offset)))
            except BrokenFrameError:
                self._note(offset)
                continue
            count += len(waiting[-1])
            if count >= batch:
                yield _join(waiting)
                waiting, count = [], 0
        if count:
            yield _join(waiting)

    def _read_preamble(self) -> tuple[Preamble, int]:
        try:
            return decode_preamble(os.pread(self._descriptor, PREAMBLE_LIMIT, 0))
        except JournalError as error:
            raise type(error)(f"{self.path}: {error}") from None

    def _find_frames(self, start: int) -> None:
        """Find the frames up to the last authentic one.

        After a power loss whole last frames may hold zeros: they belong to the torn tail.
        """
        length = os.fstat(self._descriptor).st_size
        offsets, kinds, ends = array("Q"), bytearray(), array("Q")
        for found in scan_frames(self._descriptor, start, length, self._authentic):
            if isinstance(found, Damage):
                self.damage.append(found)
            else:
                offsets.append(found.offset)
                kinds.append(found.header.kind)
                ends.append(found.end)
        while offsets and not self._authentic(offsets[-1]):
            del offsets[-1], kinds[-1], ends[-1]
        self.size = ends[-1] if ends else start
        self.torn = self.size < length
        for offset, kind in zip(offsets, kinds, strict=True):
            packets = kind == FrameKind.PACKETS
            (self._packet_frames if packets else self._other_frames).append(offset)

    def _read_plan_and_events(self) -> tuple[RecordingPlan, tuple[Event, ...]]:
        plan: RecordingPlan | None = None
        events: list[Event] = []
        for offset in self._other_frames:
            try:
                payload = self._open(offset)
                if plan is None:
                    plan = decode_plan(payload)
                else:
                    events.append(decode_event(payload))
            except (BrokenFrameError, PlanError):
                self._note(offset)
        if plan is None:
            raise self._without_plan()
        return plan, tuple(events)

    def _without_plan(self) -> JournalError:
        if self.damage:
            return JournalError(f"{self.path}: its plan is damaged")
        return EmptyJournalError(f"{self.path}: ends before its plan")

    def _open(self, offset: int) -> bytes:
        return self._opener.open(read_frame(self._descriptor, offset))

    def _authentic(self, offset: int) -> bool:
        try:
            self._open(offset)
        except BrokenFrameError:
            return False
        return True

    def _note(self, offset: int) -> None:
        header = parse_header(os.pread(self._descriptor, HEADER_SIZE, offset))
        end = offset + HEADER_SIZE + (header.size if header else 0)
        damage = Damage(offset, end, 1)
        if damage not in self.damage:
            self.damage.append(damage)


def _join(batches: list[PacketBatch]) -> PacketBatch:
    if len(batches) == 1:
        return batches[0]
    starts = np.cumsum([0, *(len(batch.data) for batch in batches[:-1])])
    return PacketBatch(
        np.concatenate([batch.arrival_ns for batch in batches]),
        np.concatenate([batch.leg for batch in batches]),
        np.concatenate([b.offset + start for b, start in zip(batches, starts, strict=True)]),
        np.concatenate([batch.length for batch in batches]),
        np.concatenate([batch.header_only for batch in batches]),
        b"".join(batch.data for batch in batches),
    )

"""The calls of a capture process: their legs' sockets, buffers and journals.

`drain` empties all sockets, `flush_due` gives full buffers to the disk's thread, a part of the
calls at each tick. What waits for a slow disk is bounded, per call and in all; packets beyond that
are given up, counted per leg and logged once per call.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal

import structlog

from mcp_sim.recording.capture.buffer import CallBuffer
from mcp_sim.recording.capture.disk import DiskThread, JournalFile, Outcome, Work
from mcp_sim.recording.capture.messages import LegCounts
from mcp_sim.recording.capture.options import CaptureOptions
from mcp_sim.recording.capture.stable import StableThread
from mcp_sim.recording.capture.staging import CallPart, LegPort, call_parts
from mcp_sim.recording.disk_calls import DISK, FaultyDisk
from mcp_sim.recording.journal.frames import MAX_PAYLOAD, JournalError, Preamble
from mcp_sim.recording.plan import (
    Ended,
    Event,
    LegClosed,
    LegOpened,
    Paused,
    RecordingPlan,
    Resumed,
)
from mcp_sim.rtp.kernel_clock import KernelClock
from mcp_sim.rtp.ports import PortsExhaustedError, RtpPorts
from mcp_sim.rtp.receiver import Received, Receiver
from recording_format.session_key import SessionKey

log = structlog.get_logger()

_PORTS_AHEAD = 128


class RequestRefusedError(Exception):
    """A request cannot be met: ``full`` may pass when calls end, ``refused`` never does."""

    def __init__(self, reason: Literal["full", "refused"], message: str) -> None:
        super().__init__(message)
        self.reason = reason


class CapturedCall:
    """One call: its open legs, what waits for its journal, and when that is due.

    `closed_legs` is what had been counted on legs that are closed.
    """

    def __init__(self, recording_id: str, journal: JournalFile, due_ns: int) -> None:
        self.recording_id = recording_id
        self.journal = journal
        self.buffer = CallBuffer()
        self.legs: dict[int, LegPort] = {}
        self.closed_legs: dict[int, LegCounts] = {}
        self.due_ns = due_ns
        self.overflow_told = False

    @property
    def waiting(self) -> int:
        """Bytes in memory."""
        return self.buffer.size + self.journal.waiting

    def counts(self) -> dict[int, LegCounts]:
        """Return the counts of each leg, of closed ones too."""
        return self.closed_legs | {leg: _counts(port) for leg, port in self.legs.items()}

    def flush(self) -> Work | None:
        """Return the work of writing what waits, if anything does."""
        payload = self.buffer.take()
        if not payload:
            return self.journal.retry if self.journal.stuck else None
        self.journal.give(len(payload))
        return partial(self.journal.write_packets, payload)


class CaptureCalls:
    """All calls of this process. Its methods belong to the thread that empties the sockets."""

    def __init__(
        self,
        options: CaptureOptions,
        clock: KernelClock,
        disk: DiskThread,
        capacity: int,
        stable: StableThread | None = None,
        faulty: FaultyDisk | None = None,
    ) -> None:
        """`stable` is where waiting for stable storage is done, without it nobody waits.

        `faulty` is the disk where faults on purpose are allowed.
        """
        self._options = options
        self._disk = disk
        self._stable = stable
        self._disk_calls = faulty.calls if faulty else DISK
        self._capacity = capacity
        self._ports = RtpPorts(
            options.host,
            options.first_port,
            options.last_port,
            buffer_size=options.socket_buffer,
        )
        self._receiver: Receiver[LegPort] = Receiver(clock, self._stage)
        self._calls: dict[str, CapturedCall] = {}
        # Of calls that are over: the disk has refused what it still has to take.
        self._unclosed: list[tuple[JournalFile, Outcome]] = []
        self._unclosed_due_ns = 0
        self._flush_ns = int(options.flush * 1e9)
        self._call_limit = min(options.call_buffer, MAX_PAYLOAD // 2)
        self.buffered = 0
        self.packets = self.octets = self.overflowed = 0
        self._closed_dropped = self._closed_oversized = 0

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[CapturedCall]:
        return iter(self._calls.values())

    @property
    def legs(self) -> int:
        """How many legs are open."""
        return sum(len(call.legs) for call in self._calls.values())

    @property
    def dropped(self) -> int:
        """Datagrams that the kernel dropped before they could be taken."""
        return self._closed_dropped + sum(port.dropped for port in self._open_ports())

    @property
    def oversized(self) -> int:
        """Datagrams that were too long to be taken."""
        return self._closed_oversized + sum(port.oversized for port in self._open_ports())

    def counts(self) -> dict[str, dict[int, LegCounts]]:
        """Return the counts of each leg, by recording id and leg."""
        return {call.recording_id: call.counts() for call in self._calls.values()}

    @property
    def avoided(self) -> int:
        """Ports that were not given out because somebody sends to them."""
        return self._ports.avoided

    def stock_ports(self) -> None:
        """Have ports wait for the next legs, so that nobody else's packets are on them."""
        # Only a part of a range, which other processes may share, and of the descriptors.
        most = min(self._ports.capacity or self._capacity, self._capacity) // 8
        self._ports.stock(min(_PORTS_AHEAD, most, self._capacity - self.legs))

    def open_call(
        self,
        folder: Path,
        key: SessionKey,
        preamble: Preamble,
        plan: RecordingPlan,
        outcome: Outcome,
    ) -> None:
        """Begin a journal; `outcome` is told when its plan is on disk. Raises on a known id."""
        recording_id = plan.recording_id
        if recording_id in self._calls:
            raise RequestRefusedError("refused", f"recording {recording_id} is being captured")
        journal = JournalFile(folder, recording_id, self._disk.counters, self._disk_calls)
        due_ns = time.monotonic_ns() + self._flush_ns
        call = self._calls[recording_id] = CapturedCall(recording_id, journal, due_ns)

        def created(error: JournalError | None) -> None:
            if error is not None:
                self._forget(call)
            outcome(error)

        if self._stable is not None:
            self._stable.begin(folder.parent)
        self._disk.submit(partial(journal.create, key, preamble, plan), created)

    def open_leg(self, recording_id: str, opened: LegOpened) -> tuple[str, int]:
        """Bind a socket for a leg and note it in the journal; return its address."""
        call = self._call(recording_id)
        if opened.leg in call.legs:
            text = f"leg {opened.leg} of recording {recording_id} is open"
            raise RequestRefusedError("refused", text)
        if self.legs >= self._capacity:
            raise RequestRefusedError("full", f"{self._capacity} legs are being captured")
        try:
            udp = self._ports.open()
        except (PortsExhaustedError, OSError) as error:
            text = f"no RTP socket could be opened: {error}"
            raise RequestRefusedError("full", text) from None
        call.legs[opened.leg] = LegPort(recording_id, opened.leg, udp, time.monotonic_ns())
        self._disk.submit(partial(call.journal.write_event, opened))
        host, port = udp.getsockname()[:2]
        return host, port

    def add_event(self, recording_id: str, event: Event, outcome: Outcome) -> None:
        """Write an event; `outcome` is told when it is on disk."""
        call = self._call(recording_id)
        if isinstance(event, Paused):
            call.buffer.pause(event.at_ns)
        elif isinstance(event, Resumed):
            call.buffer.resume(event.at_ns)
        self._disk.submit(partial(call.journal.write_event, event), outcome)

    def close_leg(self, recording_id: str, leg: int) -> None:
        """Take what waits on a leg's socket, then close it."""
        call = self._call(recording_id)
        port = call.legs.get(leg)
        if port is None:
            text = f"leg {leg} of recording {recording_id} is not open"
            raise RequestRefusedError("refused", text)
        self._receiver.drain([port])
        del call.legs[leg]
        call.closed_legs[leg] = _counts(port)
        self._ports.close(port.udp)
        self._closed_dropped += port.dropped
        self._closed_oversized += port.oversized
        closed = LegClosed(
            leg,
            time.monotonic_ns(),
            received=port.packets,
            overflowed=port.overflowed,
            dropped=port.dropped,
            oversized=port.oversized,
        )
        self._disk.submit(partial(call.journal.write_event, closed))

    def close_call(self, recording_id: str, ended: Ended | None, outcome: Outcome) -> None:
        """Close the legs, write all that waits and `ended`; `outcome` is told when it is done.

        A disk that refuses it is asked again at each flush, until it takes it.
        """
        call = self._call(recording_id)
        for leg in list(call.legs):
            self.close_leg(recording_id, leg)
        if work := call.flush():
            self._disk.submit(work)
        if ended is not None:
            self._disk.submit(partial(call.journal.write_event, ended))
        self._close(call.journal, self._durably(outcome))
        self._forget(call)

    def close_all(self) -> None:
        """Close every call as it stands, without an end: the front is gone."""
        self._ports.close_stock()
        for recording_id in list(self._calls):
            self.close_call(recording_id, None, lambda _error: None)

    def drain(self) -> None:
        """Empty all sockets into the calls' buffers."""
        self._receiver.drain(self._open_ports())

    def flush_due(self, now_ns: int) -> None:
        """Hand over what has waited for the flush time; it is written in the disk's thread."""
        works: list[tuple[Work, Outcome | None]] = []
        for call in self._calls.values():
            if call.due_ns <= now_ns:
                call.due_ns = max(call.due_ns + self._flush_ns, now_ns)
                if work := call.flush():
                    works.append((work, None))
        self._disk.submit_all(works)
        self.buffered = sum(call.waiting for call in self._calls.values())
        self.buffered += sum(journal.waiting for journal, _ in self._unclosed)
        self._close_again(now_ns)

    def _close(self, journal: JournalFile, outcome: Outcome) -> None:
        def closed(error: JournalError | None) -> None:
            if error is not None and journal.stuck:
                self._unclosed.append((journal, outcome))
            else:
                outcome(error)

        self._disk.submit(journal.close, closed)

    def _close_again(self, now_ns: int) -> None:
        if self._unclosed and self._unclosed_due_ns <= now_ns:
            self._unclosed_due_ns = now_ns + self._flush_ns
            unclosed, self._unclosed = self._unclosed, []
            for journal, outcome in unclosed:
                self._close(journal, outcome)

    def _durably(self, outcome: Outcome) -> Outcome:
        """Return an outcome that waits for stable storage before `outcome` is told."""
        stable = self._stable
        if stable is None or not stable.waits:
            return outcome

        def closed(error: JournalError | None) -> None:
            if error is None:
                stable.ask(partial(self._disk.tell, outcome))
            else:
                outcome(error)

        return closed

    def _open_ports(self) -> Iterator[LegPort]:
        return itertools.chain.from_iterable(call.legs.values() for call in self._calls.values())

    def _call(self, recording_id: str) -> CapturedCall:
        call = self._calls.get(recording_id)
        if call is None:
            text = f"recording {recording_id} is not being captured"
            raise RequestRefusedError("refused", text)
        return call

    def _forget(self, call: CapturedCall) -> None:
        """Free the id, unless the call was closed meanwhile and the id belongs to another one."""
        if self._calls.get(call.recording_id) is call:
            for port in call.legs.values():
                self._ports.close(port.udp)
            del self._calls[call.recording_id]

    def _stage(self, received: Received[LegPort]) -> None:
        self.packets += len(received.length)
        self.octets += len(received.data)
        for part in call_parts(received):
            call, size = self._calls[part.recording_id], part.size
            too_much = call.waiting + size > self._call_limit
            if too_much or self.buffered + size > self._options.total_buffer:
                self._give_up(call, part)
            else:
                call.buffer.add(part.columns)
                self.buffered += size

    def _give_up(self, call: CapturedCall, part: CallPart) -> None:
        for port, count in zip(part.ports, part.counts, strict=True):
            port.overflowed += count
            self.overflowed += count
        if not call.overflow_told:
            call.overflow_told = True
            log.error("packets were given up, the disk is too slow", recording_id=call.recording_id)


def _counts(port: LegPort) -> LegCounts:
    return LegCounts(port.packets, port.overflowed, port.dropped, port.oversized)

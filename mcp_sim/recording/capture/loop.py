"""The loop of a capture process: requests at once, sockets at each tick, journals when due."""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog

from mcp_sim.recording.capture.calls import CaptureCalls, RequestRefusedError
from mcp_sim.recording.capture.disk import DiskThread
from mcp_sim.recording.capture.messages import (
    AddEvent,
    CaptureStats,
    CloseCall,
    CloseLeg,
    Configure,
    Done,
    Failed,
    LegBound,
    MessageError,
    OpenCall,
    OpenLeg,
    Ready,
    Request,
    SetFaults,
)
from mcp_sim.recording.capture.options import CaptureOptions
from mcp_sim.recording.capture.pipe import CapturePipe
from mcp_sim.recording.capture.stable import StableThread
from mcp_sim.recording.disk_calls import FaultyDisk
from mcp_sim.recording.journal.frames import JournalError, new_preamble
from mcp_sim.rtp.kernel_clock import KernelClock
from recording_format.session_key import SessionKey

log = structlog.get_logger()

STATS_EVERY = 1.0
_CLOSE_TIMEOUT = 30.0


class CaptureLoop:
    """Runs until the pipe ends; then everything is written and closed.

    `options` and `capacity` (legs) are fixed. Raises nothing but programming errors.
    """

    def __init__(self, pipe: CapturePipe, options: CaptureOptions, capacity: int) -> None:
        self._pipe = pipe
        self._options = options
        self._clock = KernelClock()
        self._stable = StableThread(options)
        self._disk = DiskThread(self._stable.wrote)
        self._faulty = FaultyDisk() if options.faults else None
        self._calls = CaptureCalls(
            options, self._clock, self._disk, capacity, self._stable, self._faulty
        )
        self._calls.stock_ports()
        self._worst_tick = self._worst_lag = 0.0
        self._stats_due = time.monotonic()
        self._selector = selectors.DefaultSelector()
        self._selector.register(pipe, selectors.EVENT_READ)
        self._selector.register(self._disk.wake_descriptor, selectors.EVENT_READ)

    def run(self) -> None:
        """Serve the front until it is gone."""
        due = time.monotonic()
        while not self._pipe.ended:
            self._wait(due - time.monotonic())
            self._serve()
            now = time.monotonic()
            if now >= due:
                self._tick(now - due)
                due = max(due + self._options.tick, now)
        self._calls.close_all()
        if not self._disk.close(_CLOSE_TIMEOUT):
            log.error("the disk did not take all packets in time")
        if not self._stable.close(_CLOSE_TIMEOUT):
            log.error("the disk did not sync all journals in time")

    def _wait(self, seconds: float) -> None:
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._pipe.stalled else 0)
        self._selector.modify(self._pipe, wanted)
        self._selector.select(max(0.0, seconds))

    def _tick(self, lag: float) -> None:
        began = time.monotonic()
        self._calls.drain()
        # A pause that was asked for meanwhile must hold before anything is given to the disk.
        self._serve()
        self._calls.flush_due(time.monotonic_ns())
        self._calls.stock_ports()
        now = time.monotonic()
        self._worst_tick = max(self._worst_tick, now - began)
        self._worst_lag = max(self._worst_lag, lag)
        if now >= self._stats_due:
            self._stats_due = now + STATS_EVERY
            self._pipe.send(self._stats())

    def _serve(self) -> None:
        self._disk.run_outcomes()
        try:
            for request in self._pipe.requests():
                self._answer(request)
        except MessageError as error:
            log.error("the front sent what cannot be read, the process ends", error=str(error))
            self._pipe.ended = True
        self._pipe.send_rest()

    def _answer(self, request: Request) -> None:
        try:
            self._do(request)
        except RequestRefusedError as error:
            self._pipe.send(Failed(request.ref, error.reason, str(error)))

    def _do(self, request: Request) -> None:
        match request:
            case OpenCall():
                self._open_call(request)
            case OpenLeg():
                host, port = self._calls.open_leg(request.recording_id, request.leg)
                self._pipe.send(LegBound(request.ref, host, port))
            case AddEvent():
                answer = self._answerer(request.ref)
                self._calls.add_event(request.recording_id, request.event, answer)
            case CloseLeg():
                self._calls.close_leg(request.recording_id, request.leg)
                self._pipe.send(Done(request.ref))
            case CloseCall():
                answer = self._answerer(request.ref)
                self._calls.close_call(request.recording_id, request.ended, answer)
            case SetFaults():
                self._set_faults(request)
            case Configure():
                raise RequestRefusedError("refused", "the capture process is configured already")

    def _set_faults(self, request: SetFaults) -> None:
        if self._faulty is None:
            raise RequestRefusedError("refused", "faults on purpose are not enabled")
        # In the disk's thread, which is the one that they strike.
        work = partial(self._faulty.follow, request.faults)
        self._disk.submit(work, self._answerer(request.ref))

    def _open_call(self, request: OpenCall) -> None:
        try:
            key = SessionKey(request.session_key)
        except ValueError as error:
            raise RequestRefusedError("refused", str(error)) from None
        preamble = new_preamble(request.key_box, request.recipients)
        answer = self._answerer(request.ref)
        self._calls.open_call(Path(request.folder), key, preamble, request.plan, answer)

    def _answerer(self, ref: int) -> Callable[[JournalError | None], None]:
        def answer(error: JournalError | None) -> None:
            self._pipe.send(Done(ref) if error is None else Failed(ref, "disk", str(error)))

        return answer

    def _stats(self) -> CaptureStats:
        calls, disk = self._calls, self._disk.counters
        stats = CaptureStats(
            packets=calls.packets,
            octets=calls.octets,
            dropped=calls.dropped,
            overflowed=calls.overflowed,
            oversized=calls.oversized,
            ports_avoided=calls.avoided,
            journal_bytes=disk.written,
            journal_errors=disk.errors + self._stable.errors,
            clock_jumps=self._clock.jumps,
            cpu_seconds=time.process_time(),
            calls=len(calls),
            legs=calls.legs,
            buffered_bytes=calls.buffered,
            worst_tick_lag=self._worst_lag,
            worst_tick=self._worst_tick,
            worst_flush=self._disk.take_worst(),
            worst_sync=self._stable.take_worst(),
            per_call=calls.counts(),
        )
        self._worst_tick = self._worst_lag = 0.0
        return stats


def serve(pipe: CapturePipe, configure: Configure, capacity: int) -> None:
    """Answer the first message, then run."""
    loop = CaptureLoop(pipe, configure.options, capacity)
    pipe.send(Ready(configure.ref, capacity, os.getpid()))
    loop.run()

"""The load generator's media process: sends the RTP of every call, apart from the signalling.

``python -m mcp_sim.load.media_process`` takes requests on its standard input and answers on its
standard output; it ends when its input ends. Ctrl-C is for the caller, which ends the calls first.
"""

from __future__ import annotations

import asyncio
import functools
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import uvloop
from numpy.typing import NDArray

from mcp_sim.load import media_wire as wire
from mcp_sim.load.payload import LegPayload
from mcp_sim.rtp.impairment.account import Account
from mcp_sim.rtp.impairment.fate import LegFate
from mcp_sim.rtp.packet_block import StreamFormat
from mcp_sim.rtp.sender import RtpSender
from mcp_sim.rtp.stream import RtpStream, StreamReport


@dataclass
class _Call:
    streams: list[RtpStream]
    first_packet: dict[int, int] = field(default_factory=dict)
    mute: set[int] = field(default_factory=set)
    problem: str = ""


class MediaProcess:
    """Answers the caller's requests; holds the sockets and payloads of the calls."""

    def __init__(
        self,
        sender: RtpSender,
        backdrop: NDArray[np.int16] | None,
        now: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._sender, self._backdrop, self._now = sender, backdrop, now
        self._calls: dict[int, _Call] = {}

    def handle(self, request: wire.Request) -> wire.Reply | None:
        """Do what a request says; return the answer where it has one."""
        match request:
            case wire.OpenCall():
                return self._open(request)
            case wire.StartLegs():
                self._start(request)
            case wire.StopCall():
                return self._stop(request)
            case wire.Finish():
                used = resource.getrusage(resource.RUSAGE_SELF)
                return wire.Finished(self._sender.worst_lag_ns, used.ru_utime + used.ru_stime)
            case wire.Configure():
                pass
        return None

    async def run(self) -> None:
        """Send until cancelled."""
        await self._sender.run()

    def close(self) -> None:
        """Close every socket."""
        self._sender.close_all()

    def _open(self, request: wire.OpenCall) -> wire.Opened:
        call = _Call([])
        try:
            for _ in range(request.legs):
                call.streams.append(self._sender.open())
        except OSError as error:
            for stream in call.streams:
                self._sender.close(stream)
            return wire.Opened(request.call, [], f"no RTP socket could be bound: {error.strerror}")
        self._calls[request.call] = call
        return wire.Opened(request.call, [stream.address for stream in call.streams])

    def _start(self, request: wire.StartLegs) -> None:
        call = self._calls[request.call]
        # After a hold-up what is overdue is sent now; a leg that begins has nothing overdue.
        self._sender.send_due(self._now())
        for leg in request.legs:
            try:
                self._start_leg(call, leg)
            except OSError as error:
                call.problem = f"RTP to {leg.host}:{leg.port} could not be sent: {error.strerror}"

    def _start_leg(self, call: _Call, leg: wire.LegStart) -> None:
        stream, target = call.streams[leg.index], (leg.host, leg.port)
        sending = [s for s in call.streams if self._sender.sending(s)]
        payload = LegPayload(leg.identity, leg.leg, leg.law, self._backdrop)
        form = StreamFormat(payload_type=leg.payload_type)
        wrong = leg.impairment
        if wrong is not None and wrong.one_way:
            call.first_packet[leg.index] = 0
            call.mute.add(leg.index)
            return
        fate = None if wrong is None else LegFate(wrong, leg.seed, leg.identity, leg.leg)
        if not sending:
            call.first_packet[leg.index] = 0
            self._sender.start(stream, target, payload.packets, form, fate=fate)
            return
        # The legs share one clock: this one goes on where the other one is.
        sibling = sending[0]
        first = call.first_packet[call.streams.index(sibling)] + sibling.frames
        call.first_packet[leg.index] = first
        source = functools.partial(_shifted, payload, first)
        self._sender.start(stream, target, source, form, beside=sibling, fate=fate)

    def _stop(self, request: wire.StopCall) -> wire.Stopped:
        call = self._calls.pop(request.call, None)
        if call is None:
            return wire.Stopped(request.call, [])
        reports = [self._sender.close(stream) for stream in call.streams]
        legs = [
            _sent(index, first, reports[index], mute=index in call.mute)
            for index, first in sorted(call.first_packet.items())
        ]
        return wire.Stopped(request.call, legs, call.problem)


def _sent(index: int, first: int, report: StreamReport, *, mute: bool) -> wire.LegSent:
    done = Account(one_way=True) if mute else report.impaired
    return wire.LegSent(
        index=index,
        first=first,
        packets=report.sent - (done.duplicated if done else 0),
        failed=report.failed,
        unreachable=report.unreachable,
        ssrc=report.ssrc,
        first_ns=report.first_sent_ns,
        last_ns=report.last_sent_ns,
        impaired=done.moved(first) if done else None,
    )


def _shifted(payload: LegPayload, by: int, first: int, count: int) -> NDArray[np.uint8]:
    return payload.packets(first + by, count)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, sys.stdout.buffer)
    try:
        configuration = await wire.read_request(reader)
        assert isinstance(configuration, wire.Configure), "the first request configures"
        backdrop = np.frombuffer(configuration.backdrop, np.int16)
        media = MediaProcess(RtpSender(configuration.host), backdrop if len(backdrop) else None)
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(media.run())
            while True:
                try:
                    request = await wire.read_request(reader)
                except asyncio.IncompleteReadError:
                    break
                reply = media.handle(request)
                if reply is not None:
                    transport.write(wire.encode_frame(reply))
            sending.cancel()
        media.close()
    finally:
        transport.close()


def raise_open_files() -> int:
    """Raise this process's limit of open files as far as it may go; return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def main() -> None:
    """Serve the caller until it goes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise_open_files()
    uvloop.run(_serve())


if __name__ == "__main__":
    main()

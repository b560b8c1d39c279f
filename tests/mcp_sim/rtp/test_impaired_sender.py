"""Impaired streams on real sockets: what the account says was done is what arrives."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import numpy as np
import pytest

from mcp_sim.rtp.impairment import Impairment
from mcp_sim.rtp.impairment.fate import LegFate
from mcp_sim.rtp.packet_block import StreamFormat
from mcp_sim.rtp.sender import SLOT_MS, RtpSender
from mcp_sim.rtp.stream import RtpStream, StreamReport

MS = 1_000_000
FORM = StreamFormat(payload_type=0, ssrc=7, first_sequence=10, first_timestamp=0)


class Ear:
    """A sender, and a socket that hears it, driven step by step."""

    def __init__(self) -> None:
        self.socket = socket.socket(type=socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.sender = RtpSender()
        self.now_ms = 0

    def start(self, wrong: Impairment | None, beside: RtpStream | None = None) -> RtpStream:
        """Start a stream whose payloads are their frames' numbers."""
        stream = self.sender.open()
        rows = np.arange(6000, dtype=">u4").view(np.uint8).reshape(-1, 4)
        fate = None if wrong is None else LegFate(wrong, 1, "CALL", "agent")
        self.sender.start(stream, self.socket.getsockname(), rows, FORM, beside=beside, fate=fate)
        return stream

    def listen(self, milliseconds: int) -> list[tuple[int, int, int]]:
        """Let time pass; return (millisecond, frame, source port) of what arrives."""
        found = []
        for _ in range(milliseconds // SLOT_MS):
            self.sender.send_due(self.now_ms * MS)
            while True:
                try:
                    data, source = self.socket.recvfrom(2048)
                except BlockingIOError:
                    break
                found.append((self.now_ms, int.from_bytes(data[12:], "big"), source[1]))
            self.now_ms += SLOT_MS
        return found


@pytest.fixture
def ear() -> Iterator[Ear]:
    """An ear, closed afterwards."""
    ear = Ear()
    yield ear
    ear.sender.close_all()
    ear.socket.close()


def counted(report: StreamReport) -> tuple[int, int, int, int]:
    """What a report says: cells, left out, doubled, out of order."""
    done = report.impaired
    assert done is not None
    assert report.failed == 0
    left_out = sum(count for _, count in done.unsent)
    assert report.sent == done.cells - left_out + done.duplicated
    return done.cells, left_out, done.duplicated, done.reordered


def test_loss_copies_and_order_arrive_as_reported(ear: Ear) -> None:
    """Twenty seconds with everything at once: the arrivals give the account's numbers."""
    stream = ear.start(Impairment(loss=0.1, duplicate=0.1, reorder=0.1, jitter_ms=30))
    arrived = [frame for _, frame, _ in ear.listen(20_000)]
    cells, left_out, doubled, reordered = counted(ear.sender.stop(stream))
    assert cells == 1000
    assert len(set(arrived)) == cells - left_out
    assert len(arrived) - len(set(arrived)) == doubled > 50
    first = list(dict.fromkeys(arrived))
    behind = sum(frame < max(first[: n + 1]) for n, frame in enumerate(first))
    assert behind == reordered > 50


def test_an_untouched_impaired_stream_sends_like_any_other(ear: Ear) -> None:
    """With nothing wrong, both kinds of streams send the same frames at the same moments."""
    plain = ear.start(None)
    same = ear.start(Impairment(), beside=plain)
    heard: dict[int, list[tuple[int, int]]] = {}
    for at, frame, port in ear.listen(3000):
        heard.setdefault(port, []).append((at, frame))
    assert heard[plain.address[1]] == heard[same.address[1]]
    assert plain.frames == same.frames == 150


def test_nothing_leaves_before_its_time_and_jitter_makes_late(ear: Ear) -> None:
    """Packets leave up to the jitter behind their time, and one step at most behind that."""
    on_time = ear.start(None)
    ear.start(Impairment(jitter_ms=40), beside=on_time)
    arrived = ear.listen(4000)
    due = {frame: at for at, frame, port in arrived if port == on_time.address[1]}
    late = [at - due[frame] for at, frame, port in arrived if port != on_time.address[1]]
    assert min(late) >= 0
    assert 30 < max(late) <= 40 + SLOT_MS


def test_a_fast_clock_sends_more(ear: Ear) -> None:
    """In 110 s a clock that is 200 ppm fast makes one packet more, a slow one one less."""
    plain = ear.start(None)
    fast = ear.start(Impairment(drift_ppm=200), beside=plain)
    slow = ear.start(Impairment(drift_ppm=-200), beside=plain)
    arrived = ear.listen(110_000)
    counts = [sum(port == s.address[1] for _, _, port in arrived) for s in (plain, fast, slow)]
    assert counts == [5500, 5501, 5499]
    assert fast.frames == slow.frames == plain.frames


def test_another_port_after_a_rebinding(ear: Ear) -> None:
    """From that moment all packets come from another port, and none is lost by it."""
    stream = ear.start(Impairment(nat_rebinding_at=1, ssrc_change_at=1))
    arrived = ear.listen(2000)
    ports = list(dict.fromkeys(port for _, _, port in arrived))
    assert ports[0] == stream.address[1]
    assert len(ports) == 2
    assert all((frame >= 50) == (port == ports[1]) for _, frame, port in arrived)
    report = ear.sender.stop(stream)
    assert report.impaired is not None
    assert report.impaired.rebindings == 1
    assert len({frame for _, frame, _ in arrived}) == report.sent


def test_a_rebinding_that_fails_keeps_the_port(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no other port is to be had the leg goes on, and the report counts no rebinding."""
    stream = ear.start(Impairment(nat_rebinding_at=1))
    monkeypatch.setattr("mcp_sim.rtp.stream._bound", _no_port)
    arrived = ear.listen(2000)
    assert {port for _, _, port in arrived} == {stream.address[1]}
    assert len(arrived) == 100
    report = ear.sender.stop(stream)
    assert report.impaired is not None
    assert report.impaired.rebindings == 0


def _no_port(host: str) -> socket.socket:
    raise OSError(24, "Too many open files", host)


def test_an_impaired_stream_ends_with_its_frames(ear: Ear) -> None:
    """When the last packet has left, the stream is over by itself."""
    stream = ear.start(Impairment(loss=0.5, reorder=0.2))
    ear.listen(6000 * 20 + 1000)
    assert not ear.sender.sending(stream)
    assert ear.sender.active == 0
    assert counted(stream.report())[0] == 6000

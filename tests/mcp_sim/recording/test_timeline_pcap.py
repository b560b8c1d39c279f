"""The pcap that SIPp plays, through the timeline, against FFmpeg."""

from __future__ import annotations

import random
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.peers import peer

from .synthetic_call import MS, Datagram, call, play

PCAP = Path("/usr/share/sip-tester/g711a.pcap")
_IP_AND_UDP = 14 + 20 + 8


def _packets(path: Path) -> Iterator[tuple[int, bytes]]:
    """Give (nanoseconds, RTP packet) of a pcap file of Ethernet frames, little-endian."""
    data = path.read_bytes()
    at = 24
    while at < len(data):
        seconds, micro, size, _ = struct.unpack_from("<4I", data, at)
        yield seconds * 10**9 + micro * 1000, data[at + 16 + _IP_AND_UDP : at + 16 + size]
        at += 16 + size


@pytest.mark.peer
@pytest.mark.parametrize("seed", range(10))
def test_the_pcap_comes_out_as_ffmpeg_decodes_it(seed: int) -> None:
    """Sent right behind the 2xx, bunched and late as SIPp sends: not one sample is missing."""
    peer("sipp")
    captured = list(_packets(PCAP))
    sound = b"".join(packet[12:] for _, packet in captured)
    command = [str(peer("ffmpeg")), "-v", "error", "-f", "alaw", "-ar", "8000", "-i", "-"]
    decoded = subprocess.run(
        [*command, "-f", "s16le", "-"], input=sound, capture_output=True, check=True
    )
    expected = np.frombuffer(decoded.stdout, "<i2")

    draw = random.Random(seed)
    first = captured[0][0]
    sent = [
        Datagram(200_000 + at - first + draw.randrange(40 * MS), 0, packet)
        for at, packet in captured
    ]
    out, (report,) = play(call(9000), sent)
    heard = np.flatnonzero(out[0])
    begin = int(heard[0]) - int(np.flatnonzero(expected)[0])
    assert 0 <= begin < 0.25 * 8000
    assert np.array_equal(out[0, begin : begin + len(expected)], expected)
    assert not out[0, begin + len(expected) :].any()
    assert (report.packets, report.lost, report.silent_ms) == (len(captured), 0, 0)

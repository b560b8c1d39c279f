"""Calls of Debian's SIPp: what it plays is what is stored, sample for sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.end_to_end.lab_under_test import LabUnderTest, run, samples
from tests.peers import peer

PCAPS = Path("/usr/share/sip-tester")
CALLS = 10


def decoded_by_ffmpeg(pcap: Path, scratch: Path) -> npt.NDArray[np.int16]:
    """The payload of a pcap of PCMA packets, decoded by FFmpeg."""
    fields = run(
        peer("tshark"), "-r", pcap, "-d", "udp.port==1-65535,rtp",
        "-T", "fields", "-e", "rtp.seq", "-e", "rtp.payload",
    )  # fmt: skip
    by_sequence = dict(line.split() for line in fields.decode().splitlines())
    payload = bytes.fromhex("".join(v.replace(":", "") for v in by_sequence.values()))
    (scratch / "payload.al").write_bytes(payload)
    decoded = run(
        peer("ffmpeg"), "-v", "error", "-f", "alaw", "-ar", "8000", "-ac", "1",
        "-i", scratch / "payload.al", "-f", "s16le", "-",
    )  # fmt: skip
    return np.frombuffer(decoded, dtype="<i2")


@pytest.mark.peer
@pytest.mark.slow
def test_uac_pcap(lab: LabUnderTest, tmp_path: Path) -> None:
    """Ten calls of `sipp -sn uac_pcap` are ten recordings, each with the pcap's exact samples."""
    sipp = peer("sipp")
    expected = decoded_by_ffmpeg(PCAPS / "g711a.pcap", tmp_path)
    (tmp_path / "pcap").symlink_to(PCAPS)
    run(
        sipp, "-sn", "uac_pcap", lab.sip, "-i", "127.0.0.1", "-m", CALLS, "-r", CALLS,
        "-nostdin", "-timeout", "60",
        cwd=tmp_path,
    )  # fmt: skip
    for recording in lab.wait_for_recordings(CALLS):
        [media] = recording["mediaFiles"]
        left, right = samples(lab.opened(media, tmp_path))
        start = int(np.flatnonzero(left)[0]) - int(np.flatnonzero(expected)[0])
        assert start >= 0
        np.testing.assert_array_equal(left[start : start + len(expected)], expected)
        assert not left[:start].any()
        assert not left[start + len(expected) :].any()
        assert not right.any()

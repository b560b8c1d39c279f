"""What media files look like at their beginning, and what noise does not."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from recording_format.media_look import ENOUGH, media_kind
from tests.peers import peer

WAV = b"RIFF" + bytes(4) + b"WAVEfmt "
FRAME = bytes.fromhex("fffb9064")  # MPEG 1 layer III, 128 kbit/s, 44.1 kHz: 417 bytes


@pytest.mark.parametrize(
    ("beginning", "kind"),
    [
        (WAV, "wav"),
        (b"RF64" + WAV[4:], "wav"),
        (b"RIFF" + bytes(4) + b"AVI ", ""),
        (b"ID3\x04\x00\x00\x00\x00\x02\x00", "mp3"),
        (b"ID3\x04\x00\x00\x00\x00\x82\x00", ""),
        (b"\0\0\0\x18ftypmp42", "mp4"),
        (FRAME, "mp3"),
        (FRAME + bytes(413) + FRAME, "mp3"),
        (FRAME + bytes(413) + b"RIFF", ""),
        (FRAME + bytes(413) + bytes.fromhex("fffb9464"), ""),
        (bytes.fromhex("fffb9864") + bytes(572) + FRAME, ""),
        (bytes.fromhex("ffeb9064"), ""),
        (bytes.fromhex("fffd9064"), ""),
        (bytes.fromhex("fffbf064"), ""),
        (bytes.fromhex("fffb9c64"), ""),
        (b"", ""),
        (b"\xff\xfb", ""),
        (b"some words that are no audio", ""),
    ],
)
def test_beginnings(beginning: bytes, kind: str) -> None:
    """WAV, MP3 with and without a tag, and MP4 are told from everything else."""
    assert media_kind(beginning) == kind


def test_noise_is_nothing() -> None:
    """Of 200,000 random beginnings none is taken for a media file."""
    source = random.Random(3)
    for _ in range(2_000):
        noise = source.randbytes(ENOUGH)
        assert not any(media_kind(noise[at:]) for at in range(100))


def test_frames_of_every_size_lead_to_the_next() -> None:
    """For every version, bit rate, sampling rate and padding there is one place for the next."""
    sizes = set()
    for version, rate, bits, pad in (
        (v, r, b, p) for v in (0, 2, 3) for r in range(3) for b in range(1, 15) for p in (0, 1)
    ):
        header = bytes([0xFF, 0xE3 | version << 3, bits << 4 | rate << 2 | pad << 1, 0])
        found = []
        for at in range(4, 1450):
            file = bytearray(1500)
            file[:4] = file[at : at + 4] = header
            if media_kind(bytes(file)) == "mp3":
                found.append(at)
        assert len(found) == 1
        sizes.add((version, rate, bits, pad, found[0]))
    # 128 kbit/s at 44.1 kHz, and 8 kbit/s at 8 kHz, as the standard's examples have them.
    assert {(3, 0, 9, 0, 417), (3, 0, 9, 1, 418), (0, 2, 1, 0, 72)} <= sizes


@pytest.mark.peer
@pytest.mark.parametrize("rate", ["8000", "16000", "44100", "48000"])
def test_ffmpeg_files_are_known(tmp_path: Path, rate: str) -> None:
    """MP3 files of FFmpeg, with and without ID3 tag and Xing frame, are MP3."""
    for options in ([], ["-id3v2_version", "0"], ["-id3v2_version", "0", "-write_xing", "0"]):
        out = tmp_path / "x.mp3"
        source = ["-f", "lavfi", "-i", f"sine=duration=1:sample_rate={rate}"]
        command = [str(peer("ffmpeg")), "-y", "-loglevel", "error", *source, *options, str(out)]
        subprocess.run(command, check=True, timeout=60)
        assert media_kind(out.read_bytes()[:ENOUGH]) == "mp3"

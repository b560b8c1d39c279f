"""The MP3 writer, decoded by FFmpeg and mpg123."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from mcp_sim.recording.render.mp3 import Mp3Writer
from mcp_sim.recording.render.wav import ContainerError
from tests.peers import peer

SHAPES = [(2, 32), (2, 64), (1, 16), (1, 24), (1, 8), (2, 16)]


def _tones(channels: int, samples: int) -> npt.NDArray[np.int16]:
    """Return one tone per channel: 440 Hz left, 1000 Hz right."""
    time = np.arange(samples) / 8000
    rows = [8000 * np.sin(2 * np.pi * tone * time) for tone in (440, 1000)[:channels]]
    return np.array(rows).astype(np.int16)


def _file(block: npt.NDArray[np.int16], kbps: int, *, cuts: int = 1) -> bytes:
    writer = Mp3Writer(channels=block.shape[0], samples=block.shape[1], kbps=kbps)
    parts = [writer.write(part) for part in np.array_split(block, cuts, axis=1)]
    data = b"".join([*parts, writer.finish()])
    assert len(data) == writer.size
    return data


def _decode(data: bytes, channels: int, folder: Path) -> npt.NDArray[np.int16]:
    path = folder / "call.mp3"  # in a pipe FFmpeg does not trim the end of any MP3 file
    path.write_bytes(data)
    command = [str(peer("ffmpeg")), "-v", "error", "-i", str(path), "-f", "s16le", "-"]
    decoded = subprocess.run(command, capture_output=True, check=True)
    assert decoded.stderr == b""
    return np.frombuffer(decoded.stdout, "<i2").reshape(-1, channels).T


@pytest.mark.peer
@pytest.mark.parametrize(("channels", "kbps"), SHAPES)
@pytest.mark.parametrize("samples", [400, 575, 576, 577, 8000, 12_345])
def test_ffmpeg_decodes_exactly_the_samples_that_went_in(
    channels: int, kbps: int, samples: int, tmp_path: Path
) -> None:
    """Delay and padding are trimmed to the sample, whatever the length."""
    data = _file(_tones(channels, samples), kbps)
    assert _decode(data, channels, tmp_path).shape == (channels, samples)


@pytest.mark.peer
def test_the_sound_is_in_its_place(tmp_path: Path) -> None:
    """After trimming the tones lie where they were: no shift between input and output."""
    block = _tones(2, 40_000)
    decoded = _decode(_file(block, 32), 2, tmp_path).astype(np.float64)
    for channel in (0, 1):
        middle = block[channel, 8000:32_000].astype(np.float64)
        scores = [
            float(np.dot(middle, decoded[channel, 8000 + shift : 32_000 + shift]))
            for shift in range(-2, 3)
        ]
        assert int(np.argmax(scores)) == 2
        assert scores[2] > 0.9 * float(np.dot(middle, middle))


@pytest.mark.peer
def test_mpg123_decodes_the_same_length(tmp_path: Path) -> None:
    """A second decoder, with its own reading of LAME's tag and its checksum, agrees."""
    path = tmp_path / "call.mp3"
    path.write_bytes(_file(_tones(2, 24_321), 32))
    command = [str(peer("mpg123")), "-q", "-s", "--no-resync", str(path)]
    decoded = subprocess.run(command, capture_output=True, check=True)
    assert (len(decoded.stdout) // 4, decoded.stderr) == (24_321, b"")


@pytest.mark.peer
def test_ffprobe_counts_the_frames_that_are_there(tmp_path: Path) -> None:
    """FFprobe's duration is that of all frames: the samples, the delay, and the padding."""
    path = tmp_path / "call.mp3"
    data = _file(_tones(2, 80_000), 32)
    path.write_bytes(data)
    command = [
        *(str(peer("ffprobe")), "-v", "warning", "-count_packets", "-show_entries"),
        *("stream=duration,nb_read_packets", "-of", "csv=p=0", str(path)),
    ]
    probe = subprocess.run(command, capture_output=True, text=True, check=True)
    assert probe.stdout.strip() == "10.152000,141"
    assert len(data) == 142 * 288


@pytest.mark.parametrize(("channels", "kbps"), SHAPES)
def test_the_size_is_known_beforehand_for_every_remainder(channels: int, kbps: int) -> None:
    """LAME makes the announced number of bytes for lengths all over a frame's span."""
    for samples in range(1, 1800, 113):
        _file(_tones(channels, samples), kbps)


def test_blocks_of_any_size_make_the_same_file() -> None:
    """The cuts between blocks leave no trace."""
    block = _tones(2, 20_000)
    assert _file(block, 32, cuts=1) == _file(block, 32, cuts=9)


def test_the_info_frame_says_what_follows() -> None:
    """Frames, bytes, delay and padding stand in the first frame, and cover the samples."""
    samples = 12_345
    data = _file(_tones(1, samples), 16)
    at = data.index(b"Info")
    flags, frames, size, _ = struct.unpack_from(">4I", data, at + 4)
    assert (flags, size) == (0b1011, len(data))
    assert (frames + 1) * 144 == len(data)
    tag = data.index(b"LAME")
    gaps = int.from_bytes(data[tag + 21 : tag + 24], "big")
    assert frames * 576 == samples + (gaps >> 12) + (gaps & 0xFFF)


def test_an_empty_call_is_an_empty_file() -> None:
    """No samples make one Info frame that says so."""
    data = _file(np.zeros((2, 0), dtype=np.int16), 32)
    assert len(data) == 288
    assert struct.unpack_from(">I", data, data.index(b"Info") + 8) == (0,)


@pytest.mark.parametrize(("channels", "kbps"), [(2, 33), (2, 8), (1, 128), (1, 0)])
def test_a_bit_rate_that_cannot_be_is_refused(channels: int, kbps: int) -> None:
    """The error names the rate, before anything is written."""
    with pytest.raises(ContainerError, match=f"{kbps} kbit/s"):
        Mp3Writer(channels=channels, samples=8000, kbps=kbps)


def test_too_few_samples_are_an_error() -> None:
    """A file that breaks its Info frame's promise is never finished."""
    writer = Mp3Writer(channels=1, samples=1000, kbps=16)
    writer.write(np.zeros((1, 999), dtype=np.int16))
    with pytest.raises(ContainerError, match="1 samples too long"):
        writer.finish()


def test_too_many_samples_are_an_error() -> None:
    """So is a file that has more than it said."""
    writer = Mp3Writer(channels=1, samples=1000, kbps=16)
    writer.write(np.zeros((1, 1001), dtype=np.int16))
    with pytest.raises(ContainerError, match="-1 samples too long"):
        writer.finish()

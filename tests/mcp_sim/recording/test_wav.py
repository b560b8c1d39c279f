"""The WAV writer, read back by Python's own reader and by FFmpeg."""

from __future__ import annotations

import io
import subprocess
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from mcp_sim.recording.render.wav import ContainerError, WavWriter, interleave
from tests.peers import peer


def _noise(channels: int, samples: int) -> npt.NDArray[np.int16]:
    return np.random.default_rng(1).integers(-32768, 32768, (channels, samples), dtype=np.int16)


def _file(block: npt.NDArray[np.int16], *, cuts: int = 1) -> bytes:
    writer = WavWriter(sample_rate=8000, channels=block.shape[0], samples=block.shape[1])
    parts = [writer.write(part) for part in np.array_split(block, cuts, axis=1)]
    data = b"".join([*parts, writer.finish()])
    assert len(data) == writer.size
    return data


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("samples", [0, 1, 8000, 12345])
def test_what_goes_in_comes_out(channels: int, samples: int) -> None:
    """Sizes, format and every sample are as written."""
    block = _noise(channels, samples)
    with wave.open(io.BytesIO(_file(block))) as reader:
        assert reader.getparams()[:4] == (channels, 2, 8000, samples)
        frames = np.frombuffer(reader.readframes(samples), "<i2")
    assert np.array_equal(frames.reshape(samples, channels).T, block)


def test_blocks_of_any_size_make_the_same_file() -> None:
    """The cuts between blocks leave no trace."""
    block = _noise(2, 10_007)
    assert _file(block, cuts=1) == _file(block, cuts=7)


@pytest.mark.peer
def test_ffprobe_reads_the_exact_duration(tmp_path: Path) -> None:
    """FFmpeg finds the length in the header, without a warning."""
    path = tmp_path / "call.wav"
    path.write_bytes(_file(_noise(2, 12_345)))
    command = [
        *(str(peer("ffprobe")), "-v", "warning", "-show_entries", "stream=duration_ts"),
        *("-of", "csv=p=0", str(path)),
    ]
    probe = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (probe.stdout.strip(), probe.stderr) == ("12345", "")


def test_above_four_gigabytes_it_is_refused_with_the_reason() -> None:
    """The longest file that the header can say is written; one sample more is refused."""
    longest = ((1 << 32) - 1 - 36) // 4
    assert WavWriter(sample_rate=8000, channels=2, samples=longest).size - 8 < 1 << 32
    with pytest.raises(ContainerError, match="4 GiB"):
        WavWriter(sample_rate=8000, channels=2, samples=longest + 1)


def test_a_broken_promise_is_an_error() -> None:
    """Fewer samples than the header says never become a file."""
    writer = WavWriter(sample_rate=8000, channels=1, samples=10)
    writer.write(np.zeros((1, 9), dtype=np.int16))
    with pytest.raises(ContainerError, match="1 samples too long"):
        writer.finish()


def test_interleaving_is_little_endian_and_sample_by_sample() -> None:
    """Left and right alternate, low byte first."""
    assert interleave(np.array([[1, 2], [256, -1]], dtype=np.int16)) == bytes(
        [1, 0, 0, 1, 2, 0, 0xFF, 0xFF]
    )

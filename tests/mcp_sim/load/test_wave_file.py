"""WAV files: every coding gives the same sound, and a broken file is one sentence."""

from __future__ import annotations

import contextlib
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_sim.load.wave_file import Wave, WaveError, read_wave
from tests.peers import peer


def wav(coding: int, bits: int, channels: int, rate: int, data: bytes, extra: bytes = b"") -> bytes:
    """Write a WAV file by hand."""
    frame = channels * bits // 8
    layout = struct.pack("<HHIIHH", coding, channels, rate, rate * frame, frame, bits) + extra
    chunks = b"fmt " + struct.pack("<I", len(layout)) + layout
    chunks += b"LIST" + struct.pack("<I", 3) + b"odd\x00"
    chunks += b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


PCM16 = wav(1, 16, 2, 8000, np.arange(-4, 4, dtype="<i2").tobytes())


def test_channels_come_apart() -> None:
    """Interleaved samples become rows, in 16-bit units, past chunks of no interest."""
    wave = read_wave(PCM16)
    assert wave.rate == 8000
    assert wave.samples.tolist() == [[-4, -2, 0, 2], [-3, -1, 1, 3]]


@pytest.mark.parametrize(
    ("coding", "bits", "data"),
    [
        (1, 8, np.array([0, 128, 192], np.uint8).tobytes()),
        (1, 24, bytes([0, 0, 0x80, 0, 0, 0, 0, 0, 0x40])),
        (1, 32, np.array([-(2**31), 0, 2**30], "<i4").tobytes()),
        (3, 32, np.array([-1, 0, 0.5], "<f4").tobytes()),
        (3, 64, np.array([-1, 0, 0.5], "<f8").tobytes()),
    ],
)
def test_every_coding_has_one_scale(coding: int, bits: int, data: bytes) -> None:
    """Full scale, silence and half scale are the same numbers in each coding."""
    assert read_wave(wav(coding, bits, 1, 44100, data)).samples.tolist() == [[-32768, 0, 16384]]


def test_extensible_format_is_read_by_its_sub_format() -> None:
    """WAVE_FORMAT_EXTENSIBLE names its coding in the first two bytes of a GUID."""
    extra = struct.pack("<HHI", 22, 16, 4) + struct.pack("<H", 1) + bytes(14)
    data = np.array([7, -7], "<i2").tobytes()
    assert read_wave(wav(0xFFFE, 16, 1, 8000, data, extra)).samples.tolist() == [[7, -7]]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "not a WAV file"),
        (b"ID3" + bytes(40), "not a WAV file"),
        (b"RIFX" + PCM16[4:], "big-endian"),
        (PCM16[:-4], "the WAV header says"),
        (PCM16[:12] + bytes(32), "no data chunk"),
        (wav(85, 16, 1, 8000, b""), "coding 85"),
        (wav(1, 16, 0, 8000, b""), "0 channels"),
        (wav(1, 16, 2, 8000, b"\x00\x00"), "data chunk says 2 bytes"),
    ],
)
def test_broken_files_are_refused(data: bytes, sentence: str) -> None:
    """What cannot be read is said in one sentence."""
    if data.startswith(b"RIFF") and b"the WAV header" not in sentence.encode():
        data = data[:4] + struct.pack("<I", len(data) - 8) + data[8:]
    with pytest.raises(WaveError, match=sentence):
        read_wave(data)


def test_a_streamed_file_is_read_when_exactness_is_not_asked_for() -> None:
    """A header that promises 4 GiB is fine for a person's audio, not for a recording."""
    at = PCM16.index(b"data") + 4
    streamed = PCM16[:at] + b"\xff\xff\xff\xff" + PCM16[at + 4 :]
    assert np.array_equal(read_wave(streamed, exact=False).samples, read_wave(PCM16).samples)
    with pytest.raises(WaveError):
        read_wave(streamed)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80), st.integers(0, len(PCM16)))
def test_junk_never_crashes(junk: bytes, cut: int) -> None:
    """Any bytes are a wave or a `WaveError`."""
    with contextlib.suppress(WaveError):
        assert isinstance(read_wave(PCM16[:cut] + junk, exact=False), Wave)


@pytest.mark.peer
@pytest.mark.parametrize("coding", ["pcm_u8", "pcm_s24le", "pcm_f32le", "pcm_mulaw", "pcm_alaw"])
def test_ffmpegs_files_are_read(coding: str, tmp_path: Path) -> None:
    """A tone written by FFmpeg in any coding comes out with its level and length."""
    path = tmp_path / "tone.wav"
    command = [str(peer("ffmpeg")), "-v", "error", "-f", "lavfi"]
    command += ["-i", "sine=frequency=400:sample_rate=16000:duration=1", "-ac", "2"]
    subprocess.run([*command, "-c:a", coding, str(path)], check=True)
    wave = read_wave(path.read_bytes())
    assert (wave.rate, wave.samples.shape) == (16000, (2, 16000))
    assert np.sqrt(np.mean(wave.samples**2)) == pytest.approx(32768 / 16, rel=0.05)

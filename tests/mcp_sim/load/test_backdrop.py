"""A person's audio as a loop: in its own band, at its own pitch, never too loud, never clicking."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from mcp_sim.load.backdrop import LOUDEST, AudioError, load_backdrop, make_loop
from mcp_sim.load.signature import AUDIO_CEILING, Floats
from mcp_sim.load.wave_file import Wave


def tone(frequency: float, rate: int, seconds: float = 1.0, level: float = 20_000) -> Floats:
    """Return a sine as one channel."""
    time = np.arange(round(rate * seconds)) / rate
    return np.asarray(level * np.sin(2 * np.pi * frequency * time), np.float32)[None]


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 6000])
def test_pitch_and_length_survive_resampling(rate: int) -> None:
    """A tone of 440 Hz is one of 440 Hz at 8 kHz, as loud and as long as before."""
    loop = make_loop(Wave(tone(440, rate, 2.0), rate)).astype(np.float64)
    assert len(loop) == 16_000
    spectrum = np.abs(np.fft.rfft(loop)) / len(loop) * 2
    assert np.argmax(spectrum) == 880
    assert spectrum[880] == pytest.approx(20_000, rel=0.01)


def test_the_signatures_band_is_left_free() -> None:
    """Of noise at any level nothing is left above the ceiling."""
    noise = np.random.default_rng(1).normal(0, 8000, (2, 48_000)).astype(np.float32)
    loop = make_loop(Wave(noise, 48_000)).astype(np.float64)
    spectrum = np.abs(np.fft.rfft(loop))
    frequency = np.fft.rfftfreq(len(loop), 1 / 8000)
    below, above = spectrum[frequency < 2000], spectrum[frequency > AUDIO_CEILING]
    assert np.mean(above) < np.mean(below) / 1000


def test_loud_audio_is_turned_down() -> None:
    """The loop's peak leaves room for the signature."""
    loop = make_loop(Wave(tone(300, 8000, level=32_000), 8000))
    assert np.abs(loop.astype(int)).max() <= LOUDEST


def test_the_loop_joins_without_a_click() -> None:
    """The step from the last sample to the first is no larger than those inside."""
    loop = make_loop(Wave(tone(333.3, 8000, 1.234), 8000)).astype(int)
    assert abs(loop[0] - loop[-1]) <= np.abs(np.diff(loop)).max()


def test_unusable_files_are_named(tmp_path: Path) -> None:
    """A missing, foreign or nearly empty file is one sentence with its path."""
    other = tmp_path / "song.wav"
    other.write_bytes(b"OggS" + bytes(60))
    short = tmp_path / "short.wav"
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        40,
        b"WAVE",
        b"fmt ",
        16,
        1,
        1,
        8000,
        16000,
        2,
        16,
        b"data",
        4,
    )
    short.write_bytes(head + bytes(4))
    for path in (tmp_path / "none.wav", other, short, tmp_path):
        with pytest.raises(AudioError) as refused:
            load_backdrop(path)
        assert str(path) in str(refused.value)

"""A person's own audio behind the signature: any WAV file, as a loop at 8 kHz below 2.5 kHz.

Mixed down, faded for 5 ms at its ends so that the loop joins without a click, then resampled and
low-passed in one FFT. Loud files are turned down, so that adding the signature never clips.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mcp_sim.load.signature import AUDIO_CEILING, SAMPLE_RATE
from mcp_sim.load.wave_file import Wave, WaveError, read_wave

LONGEST_SECONDS: Final = 600
LARGEST_FILE: Final = 512 << 20
LOUDEST: Final = 24000.0
"""Peak of the loop; the rest up to 32767 is the signature's room."""
_ROLL_OFF: Final = 150.0


class AudioError(ValueError):
    """The audio file cannot be used; the sentence names it."""


def load_backdrop(path: Path) -> NDArray[np.int16]:
    """Read a WAV file and return its loop: int16[samples] at 8 kHz, at most ten minutes."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise AudioError(f"the audio file {path} is larger than {LARGEST_FILE >> 20} MiB")
        wave = read_wave(path.read_bytes(), exact=False)
    except OSError as error:
        raise AudioError(f"the audio file {path} cannot be read: {error.strerror}") from None
    except WaveError as error:
        raise AudioError(f"the audio file {path} cannot be used: {error}") from None
    if wave.samples.shape[1] < wave.rate // 10:
        raise AudioError(f"the audio file {path} is shorter than 0.1 seconds")
    return make_loop(wave)


def make_loop(wave: Wave) -> NDArray[np.int16]:
    """Mix down, low-pass and resample to a loop of 8 kHz samples: int16[n]."""
    mono = wave.samples[:, : LONGEST_SECONDS * wave.rate].mean(axis=0, dtype=np.float64)
    fade = np.sin(np.linspace(0, np.pi / 2, max(wave.rate // 200, 2))) ** 2
    mono[: len(fade)] *= fade
    mono[-len(fade) :] *= fade[::-1]
    count = max(round(len(mono) * SAMPLE_RATE / wave.rate), 2)
    spectrum = np.fft.rfft(mono)
    spectrum *= _low_pass(np.fft.rfftfreq(len(mono), 1 / wave.rate))
    spectrum[0] = 0
    wanted = count // 2 + 1
    if len(spectrum) < wanted:
        spectrum = np.pad(spectrum, (0, wanted - len(spectrum)))
    loop = np.fft.irfft(spectrum[:wanted], count) * (count / len(mono))
    peak = float(np.abs(loop).max())
    if peak > LOUDEST:
        loop *= LOUDEST / peak
    return np.round(loop).astype(np.int16)


def _low_pass(frequency: NDArray[np.floating]) -> NDArray[np.float64]:
    # A raised cosine ends at the ceiling: nothing at all is left in the tones' band.
    above = np.clip((frequency - (AUDIO_CEILING - _ROLL_OFF)) / _ROLL_OFF, 0, 1)
    return np.asarray(0.5 + 0.5 * np.cos(np.pi * above), np.float64)

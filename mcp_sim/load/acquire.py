"""Finding a signature in a channel: where in the recording the call's sample 0 lies.

One FFT cross-correlation of a window of the recording with the signature as it would have to be.
The score is the share of the sound in the leg's band that is this very signature, so that silence,
other calls and speech score low whatever their level.
"""

from __future__ import annotations

import cmath
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mcp_sim.load.signature import SAMPLE_RATE, Floats, Leg, band, phasors, waveform

ENOUGH: Final = 0.6
"""Score from which a peak counts. A wrong call reaches it in two seconds with 20 symbols only when
12 of them agree by chance, each with 1/16: under 5e-10 for each place it is looked for at."""
ENOUGH_IN_SHORT: Final = 0.8
"""The same in one second: 8 of 10 symbols, under 1e-8."""
WINDOW: Final = 2 * SAMPLE_RATE
SHORT_WINDOW: Final = SAMPLE_RATE
SHORTEST: Final = SAMPLE_RATE * 4 // 5
NEAR: Final = 5 * SAMPLE_RATE
FAR: Final = 60 * SAMPLE_RATE
FAINTEST: Final = 15.0
"""RMS in the leg's band under which nothing is looked for: below G.711's own noise of silence."""
_COARSE: Final = 8
_BLOCK: Final = SAMPLE_RATE // 10
_SOUNDING: Final = 0.75
"""Share of a window's tenths of a second that must have sound in the leg's band."""
_TRIES: Final = 8
_FAR_TRIES: Final = 3


@dataclass(frozen=True)
class Peak:
    """The best place in a window: position in the recording = index in the signature + shift."""

    shift: int
    score: float
    amplitude: float


def correlate(window: Floats, at: int, identity: str, leg: Leg, lowest: int, highest: int) -> Peak:
    """Find the best shift in [lowest, highest] for a window that begins at sample `at`.

    The tones' envelope says where to within a sample, their phase says which sample: the two
    together do not slip by a period of the tones, as the highest correlation would.
    """
    count = len(window)
    origin = at - highest
    reference = waveform(identity, leg, origin, count + highest - lowest)
    size = 1 << max(len(reference) - 1, 2 * _COARSE).bit_length()
    keep = in_band(leg, size)
    spectrum = np.fft.rfft(window, size)[keep]
    energy = 2 * float(np.sum(np.abs(spectrum) ** 2)) / size
    if energy <= 0:
        return Peak(lowest, 0.0, 0.0)
    product = np.fft.rfft(reference, size)[keep] * np.conj(spectrum)
    coarse = np.abs(np.fft.ifft(product, size // _COARSE))
    near = _COARSE * int(np.argmax(coarse[: (highest - lowest) // _COARSE + 1]))
    lags = np.arange(max(near - _COARSE, 0), min(near + _COARSE, highest - lowest) + 1)
    turning = np.conj(phasors(identity, leg, origin + int(lags[0]), count + len(lags) - 1))
    sums = np.array([1j * (turning[lag : lag + count] @ window) for lag in range(len(lags))])
    best = int(np.argmax(np.abs(sums)))
    turned = cmath.phase(complex(sums[best])) / (2 * np.pi) * SAMPLE_RATE / np.mean(band(leg))
    shift = highest - int(lags[best]) - round(float(turned))
    size_of_peak = float(abs(sums[best]))
    score = size_of_peak / float(np.sqrt(energy * count / 2))
    return Peak(min(max(shift, lowest), highest), score, 2 * size_of_peak / count)


def in_band(leg: Leg, size: int) -> NDArray[np.bool_]:
    """Return which bins of an rfft over `size` samples belong to the leg's band."""
    lowest, highest = band(leg)
    frequency = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    return (frequency >= lowest) & (frequency <= highest)


def acquire(samples: Floats, identity: str, leg: Leg, around: int = 0) -> Peak | None:
    """Find a signature in a channel; None where it is not.

    Looks at the first windows that have sound in the leg's band, first within five seconds of the
    shift `around`, then within a minute; then at shorter windows, for legs that speak briefly.
    """
    for size, enough in ((WINDOW, ENOUGH), (SHORT_WINDOW, ENOUGH_IN_SHORT)):
        if len(samples) < size and size > SHORT_WINDOW:
            continue
        starts = list(_sounding_windows(samples, leg, min(size, len(samples))))
        for radius, tries in ((NEAR, _TRIES), (FAR, _FAR_TRIES)):
            for at in starts[:tries]:
                window = samples[at : at + size]
                peak = correlate(window, at, identity, leg, around - radius, around + radius)
                if peak.score >= enough:
                    return peak
    return None


def _sounding_windows(samples: Floats, leg: Leg, size: int) -> Iterator[int]:
    # A window in which the leg has hardly begun would score low, or high by chance.
    if size < SHORTEST:
        return
    found = 0
    keep = in_band(leg, size)
    last = len(samples) - size
    for at in sorted({*range(0, last + 1, SHORT_WINDOW // 2), last}):
        window = np.fft.irfft(np.fft.rfft(samples[at : at + size]) * keep, size)
        blocks = window[: size // _BLOCK * _BLOCK].reshape(-1, _BLOCK)
        loudness = np.sqrt(np.mean(blocks**2, axis=1))
        loudest = float(loudness.max())
        if loudest >= FAINTEST and np.mean(loudness > loudest / 4) >= _SOUNDING:
            yield at
            found += 1
            if found >= _TRIES:
                return

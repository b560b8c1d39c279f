"""The sound that a test call carries: tones that say which call and which leg they belong to.

Every 100 ms one of 16 tones of the leg's alphabet sounds; SHA-256 over the call's identity and the
leg's name draws them, so a sample is a pure function of (call, leg, index) and any window can be
made again by whoever looks for it. Sample 0 is the moment the media of the call began, for every
leg. The alphabets lie side by side between 2.64 and 3.30 kHz, above `AUDIO_CEILING`: they survive
G.711 and 16 kbit/s MP3, fit over a person's low-passed audio, and stay apart when legs are mixed.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Leg: TypeAlias = Literal["customer", "agent"]
Floats: TypeAlias = NDArray[np.float32]
Phasors: TypeAlias = NDArray[np.complex64]

SAMPLE_RATE: Final = 8000
SYMBOL_SAMPLES: Final = 800
PACKET_SAMPLES: Final = 160
AUDIO_CEILING: Final = 2500
"""Hz; the person's audio is low-passed here, so that the tones have their band to themselves."""

TONES: Final = 16
TONE_STEP: Final = 20
LOWEST_TONE: Final[dict[Leg, int]] = {"customer": 2640, "agent": 3000}
"""Hz. All tones are multiples of 10 Hz: a symbol holds whole cycles, so it starts and ends at phase
0 and the stream never clicks. LAME loses tones above 3333 Hz in its short blocks."""

LEGS: Final[tuple[Leg, ...]] = ("customer", "agent")

_DOMAIN: Final = b"reclab signature 1\x00"
_BLOCK_SYMBOLS: Final = 64


def tone_frequencies(leg: Leg) -> NDArray[np.int64]:
    """Return the leg's alphabet in Hz: int64[TONES], ascending."""
    return LOWEST_TONE[leg] + TONE_STEP * np.arange(TONES, dtype=np.int64)


def band(leg: Leg) -> tuple[int, int]:
    """Return the lowest and the highest frequency, in Hz, that the leg's tones reach to."""
    lowest = LOWEST_TONE[leg]
    return lowest - TONE_STEP, lowest + TONE_STEP * TONES


@cache
def tone_phasors(leg: Leg) -> Phasors:
    """Return one symbol of every tone as turning phasors: complex64[TONES, SYMBOL_SAMPLES]."""
    cycles = np.outer(tone_frequencies(leg), np.arange(SYMBOL_SAMPLES)) / SAMPLE_RATE
    table: Phasors = np.exp(2j * np.pi * cycles).astype(np.complex64)
    table.flags.writeable = False
    return table


@cache
def tone_table(leg: Leg) -> Floats:
    """Return one symbol of every tone: float32[TONES, SYMBOL_SAMPLES], amplitude 1."""
    table: Floats = tone_phasors(leg).imag.copy()
    table.flags.writeable = False
    return table


def draw_symbols(identity: str, leg: Leg, first: int, count: int) -> NDArray[np.uint8]:
    """Return the symbols `first` … `first + count - 1` (0 … 15) of a leg: uint8[count].

    `first` may be negative: before sample 0 there are symbols too, which no call ever sends.
    """
    start, stop = first // _BLOCK_SYMBOLS, -(-(first + count) // _BLOCK_SYMBOLS)
    seed = hashlib.sha256(_DOMAIN + identity.encode() + b"\x00" + leg.encode()).digest()
    stream = b"".join(
        hashlib.sha256(seed + block.to_bytes(8, "big", signed=True)).digest()
        for block in range(start, stop)
    )
    octets = np.frombuffer(stream, np.uint8)
    nibbles = np.empty(2 * len(octets), np.uint8)
    nibbles[0::2] = octets >> 4
    nibbles[1::2] = octets & 0x0F
    skipped = first - start * _BLOCK_SYMBOLS
    return nibbles[skipped : skipped + count]


def waveform(identity: str, leg: Leg, first: int, count: int) -> Floats:
    """Return samples `first` … `first + count - 1` of a leg: float32[count], amplitude 1."""
    drawn, skipped = _symbols_around(identity, leg, first, count)
    sound: Floats = tone_table(leg)[drawn].reshape(-1)
    return sound[skipped : skipped + count]


def phasors(identity: str, leg: Leg, first: int, count: int) -> Phasors:
    """Return the same samples as phasors, whose imaginary part they are: complex64[count]."""
    drawn, skipped = _symbols_around(identity, leg, first, count)
    sound: Phasors = tone_phasors(leg)[drawn].reshape(-1)
    return sound[skipped : skipped + count]


def _symbols_around(
    identity: str, leg: Leg, first: int, count: int
) -> tuple[NDArray[np.uint8], int]:
    symbol = first // SYMBOL_SAMPLES
    symbols = max(-(-(first + count) // SYMBOL_SAMPLES) - symbol, 0)
    return draw_symbols(identity, leg, symbol, symbols), first - symbol * SYMBOL_SAMPLES

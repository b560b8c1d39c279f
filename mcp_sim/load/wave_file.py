"""WAV files in every usual coding (PCM 8 to 32 bits, float, G.711) become arrays of samples.

Reads what a person hands in with ``--audio`` and what the recorder made. Nothing is resampled here.
A file that is no WAV, or that says more than it holds, is a `WaveError` of one sentence.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcp_sim.load import g711

_PCM, _FLOAT, _ALAW, _MULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE


class WaveError(ValueError):
    """These bytes are no readable WAV file; the sentence says what is wrong."""


@dataclass(frozen=True)
class Wave:
    """Sound as it came: float32[channels, samples] with full scale ±32768, and its rate in Hz."""

    samples: NDArray[np.float32]
    rate: int


@dataclass(frozen=True)
class _Format:
    coding: int
    channels: int
    rate: int
    bits: int

    @property
    def frame_bytes(self) -> int:
        return self.channels * self.bits // 8


def read_wave(data: bytes, *, exact: bool = True) -> Wave:
    """Decode a WAV file.

    With `exact` the sizes in its headers must be those of the bytes that are there; without, a
    data chunk may be shorter than declared (streamed files say 0xFFFFFFFF).
    """
    if len(data) < 12 or data[:4] not in (b"RIFF", b"RIFX") or data[8:12] != b"WAVE":
        raise WaveError("the file is not a WAV file")
    if data[:4] == b"RIFX":
        raise WaveError("the WAV file is big-endian (RIFX), which is not supported")
    riff_size = struct.unpack_from("<I", data, 4)[0]
    if exact and riff_size != len(data) - 8:
        raise WaveError(f"the WAV header says {riff_size + 8} bytes and the file has {len(data)}")
    layout: _Format | None = None
    position = 12
    while position + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, position)
        position += 8
        if name == b"fmt ":
            layout = _read_format(data[position : position + size])
        elif name == b"data":
            return _read_data(memoryview(data)[position : position + size], size, layout, exact)
        position += size + size % 2
    raise WaveError("the WAV file has no data chunk")


def _read_format(chunk: bytes) -> _Format:
    if len(chunk) < 16:
        raise WaveError("the WAV file's format chunk is too short")
    coding, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
    if coding == _EXTENSIBLE and len(chunk) >= 26:
        coding = struct.unpack_from("<H", chunk, 24)[0]
    if not (1 <= channels <= 64 and 1000 <= rate <= 768_000):
        raise WaveError(f"the WAV file claims {channels} channels at {rate} Hz")
    if (coding, bits) not in _CODINGS:
        raise WaveError(f"the WAV file's coding {coding} with {bits} bits is not supported")
    return _Format(coding, channels, rate, bits)


def _read_data(chunk: memoryview, declared: int, layout: _Format | None, exact: bool) -> Wave:
    if layout is None:
        raise WaveError("the WAV file has no format chunk before its data")
    if exact and (len(chunk) != declared or declared % layout.frame_bytes):
        raise WaveError(f"the WAV data chunk says {declared} bytes and holds {len(chunk)}")
    whole = len(chunk) - len(chunk) % layout.frame_bytes
    flat = _CODINGS[layout.coding, layout.bits](chunk[:whole])
    return Wave(np.ascontiguousarray(flat.reshape(-1, layout.channels).T), layout.rate)


def _unsigned8(raw: memoryview) -> NDArray[np.float32]:
    return (np.frombuffer(raw, np.uint8).astype(np.float32) - 128) * 256


def _signed16(raw: memoryview) -> NDArray[np.float32]:
    return np.frombuffer(raw, "<i2").astype(np.float32)


def _signed24(raw: memoryview) -> NDArray[np.float32]:
    octets = np.frombuffer(raw, np.uint8).reshape(-1, 3)
    high = octets[:, 2].view(np.int8).astype(np.float32) * 256
    return np.asarray(high + octets[:, 1] + octets[:, 0] / np.float32(256), np.float32)


def _signed32(raw: memoryview) -> NDArray[np.float32]:
    return np.frombuffer(raw, "<i4").astype(np.float32) / np.float32(65536)


def _float32(raw: memoryview) -> NDArray[np.float32]:
    return _finite(np.frombuffer(raw, "<f4").astype(np.float32))


def _float64(raw: memoryview) -> NDArray[np.float32]:
    return _finite(np.frombuffer(raw, "<f8").astype(np.float32))


def _finite(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(np.nan_to_num(samples, posinf=1, neginf=-1) * np.float32(32768), np.float32)


def _alaw(raw: memoryview) -> NDArray[np.float32]:
    return g711.decode(np.frombuffer(raw, np.uint8), "pcma").astype(np.float32)


def _mulaw(raw: memoryview) -> NDArray[np.float32]:
    return g711.decode(np.frombuffer(raw, np.uint8), "pcmu").astype(np.float32)


_CODINGS = {
    (_PCM, 8): _unsigned8,
    (_PCM, 16): _signed16,
    (_PCM, 24): _signed24,
    (_PCM, 32): _signed32,
    (_FLOAT, 32): _float32,
    (_FLOAT, 64): _float64,
    (_ALAW, 8): _alaw,
    (_MULAW, 8): _mulaw,
}

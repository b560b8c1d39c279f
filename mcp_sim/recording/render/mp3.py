"""An MP3 file at constant bit rate as a stream: LAME's frames behind an Info frame of our own.

A sealed file cannot be patched afterwards, and `lameenc` writes no Info frame, so players would
add the encoder's delay and padding to the duration. At constant bit rate every frame has the same
size and their number follows from the number of samples: the Info frame is written first, and a
player that reads it gives back exactly the samples that went in.
"""

from __future__ import annotations

import struct
from typing import Protocol, cast

import lameenc
import numpy as np
import numpy.typing as npt

from mcp_sim.recording.render.wav import ContainerError, interleave

SAMPLE_RATE = 8000
FRAME_SAMPLES = 576
"""Samples per channel of one frame of MPEG-2.5 layer III (ISO/IEC 13818-3, and 2.5)."""
BIT_RATES = range(8, 65, 8)
"""kbit/s that LAME takes at 8 kHz; stereo needs 16 or more, for the Info frame to fit."""

_QUALITY = 5
_ENCODER_DELAY = 576
_HEADER = b"\xff\xe3"  # MPEG-2.5, layer III, no CRC
_RATE_8000 = 2 << 2
_JOINT_STEREO, _MONO = 0x44, 0xC4
_SIDE_INFORMATION = {1: 9, 2: 17}
_FRAMES_BYTES_QUALITY = 0b1011
_CONSTANT_RATE = 1
_XING_QUALITY = 50
_FRAME_COUNT_LIMIT = (1 << 32) - 1


class _Encoder(Protocol):
    """The part of `lameenc.Encoder` that is used here (it carries no types)."""

    def set_bit_rate(self, kbps: int) -> None: ...
    def set_in_sample_rate(self, rate: int) -> None: ...
    def set_out_sample_rate(self, rate: int) -> None: ...
    def set_channels(self, channels: int) -> None: ...
    def set_quality(self, quality: int) -> None: ...
    def silence(self) -> None: ...
    def encode(self, pcm: bytes) -> bytearray: ...
    def flush(self) -> bytearray: ...


class Mp3Writer:
    """Turns blocks of samples at 8 kHz into the bytes of one file: `write` … `finish`.

    The first block's bytes begin with the Info frame. `finish` checks that what LAME made is what
    the Info frame promised.
    """

    def __init__(self, *, channels: int, samples: int, kbps: int) -> None:
        """Announce `samples` per channel. Raises `ContainerError` when they do not fit."""
        if kbps not in BIT_RATES or (channels == 2 and kbps < 16):
            raise ContainerError(f"MP3 at 8 kHz cannot have {kbps} kbit/s for {channels} channels")
        padding, frames = _padding(samples)
        self.size = (frames + 1) * _frame_size(kbps)
        if self.size > _FRAME_COUNT_LIMIT:
            raise ContainerError(f"{samples} samples are too many for an MP3 file of 4 GiB")
        self._ready = info_frame(channels=channels, kbps=kbps, frames=frames, padding=padding)
        self._samples_left = samples
        self._bytes_left = self.size
        self._encoder = _encoder(channels, kbps) if samples else None

    def write(self, block: npt.NDArray[np.int16]) -> bytes:
        """Take int16[channels, n]; return the bytes of the file that follow."""
        self._samples_left -= block.shape[1]
        if self._encoder is None or not block.shape[1]:
            return self._give(b"")
        return self._give(self._encoder.encode(interleave(block)))

    def finish(self) -> bytes:
        """Return the last bytes. Raises `ContainerError` if the promise was not kept."""
        if self._samples_left:
            raise ContainerError(
                f"the MP3 file was announced {self._samples_left} samples too long"
            )
        last = self._give(self._encoder.flush() if self._encoder else b"")
        if self._bytes_left:
            raise ContainerError(f"the MP3 encoder made {-self._bytes_left} bytes too many")
        return last

    def _give(self, data: bytes | bytearray) -> bytes:
        out, self._ready = self._ready + data, b""
        self._bytes_left -= len(out)
        return out


def info_frame(*, channels: int, kbps: int, frames: int, padding: int) -> bytes:
    """Return the Info frame with LAME's tag: `frames` audio frames follow it.

    `padding` is how many samples behind the last one of the input were encoded too.
    """
    size = _frame_size(kbps)
    total = (frames + 1) * size
    mode = _JOINT_STEREO if channels == 2 else _MONO
    head = (
        _HEADER + bytes([(kbps // 8) << 4 | _RATE_8000, mode]) + bytes(_SIDE_INFORMATION[channels])
    )
    xing = b"Info" + struct.pack(">4I", _FRAMES_BYTES_QUALITY, frames, total, _XING_QUALITY)
    # Version, method, low pass, replay gain (peak, track, album), flags, bit rate,
    # delay and padding in 12 bits each, encoder's settings, gain, preset, length, checksum of all.
    lame = b"".join(
        (
            b"LAME3.100",
            struct.pack(">BBfHHBB", _CONSTANT_RATE, 0, 0.0, 0, 0, 0, kbps),
            (_ENCODER_DELAY << 12 | padding).to_bytes(3, "big"),
            struct.pack(">BBHIH", 0, 0, 0, total, 0),
        )
    )
    frame = head + xing + lame
    return (frame + struct.pack(">H", _crc16(frame))).ljust(size, b"\0")


def _padding(samples: int) -> tuple[int, int]:
    """Return LAME's padding behind `samples`, and its number of frames."""
    if not samples:
        return 0, 0
    padding = FRAME_SAMPLES - (samples + _ENCODER_DELAY) % FRAME_SAMPLES
    if padding < FRAME_SAMPLES:
        padding += FRAME_SAMPLES
    return padding, (samples + _ENCODER_DELAY + padding) // FRAME_SAMPLES


def _frame_size(kbps: int) -> int:
    return kbps * 1000 // 8 * FRAME_SAMPLES // SAMPLE_RATE


def _encoder(channels: int, kbps: int) -> _Encoder:
    encoder = cast("_Encoder", lameenc.Encoder())
    encoder.set_bit_rate(kbps)
    encoder.set_in_sample_rate(SAMPLE_RATE)
    encoder.set_out_sample_rate(SAMPLE_RATE)
    encoder.set_channels(channels)
    encoder.set_quality(_QUALITY)
    encoder.silence()
    return encoder


def _crc16(data: bytes) -> int:
    """Return the checksum of LAME's tag: polynomial 0x8005, reflected, from zero."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value

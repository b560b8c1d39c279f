"""A WAV file of 16-bit PCM as a stream: its header says the right sizes before the first sample.

The length must be known beforehand, because a sealed file cannot be patched afterwards.
"""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

HEADER_SIZE = 44
_SAMPLE_BYTES = 2
_PCM = 1
_RIFF_LIMIT = (1 << 32) - 1


class ContainerError(ValueError):
    """The recording does not fit into this kind of file; the text says why."""


class WavWriter:
    """Turns blocks of samples into the bytes of one file: `write` … `finish`.

    The first block's bytes begin with the header. `finish` checks the promise that the header made.
    """

    def __init__(self, *, sample_rate: int, channels: int, samples: int) -> None:
        """Announce `samples` per channel. Raises `ContainerError` above 4 GiB."""
        self._frame = channels * _SAMPLE_BYTES
        self._left = samples
        self._header = _header(sample_rate, channels, samples)
        self.size = HEADER_SIZE + samples * self._frame

    def write(self, block: npt.NDArray[np.int16]) -> bytes:
        """Take int16[channels, n]; return the bytes of the file that follow."""
        self._left -= block.shape[1]
        header, self._header = self._header, b""
        return header + interleave(block)

    def finish(self) -> bytes:
        """Return the last bytes (the header, when nothing was written)."""
        if self._left:
            raise ContainerError(f"the WAV file was announced {self._left} samples too long")
        header, self._header = self._header, b""
        return header


def interleave(block: npt.NDArray[np.int16]) -> bytes:
    """Return int16[channels, n] as little-endian bytes, sample by sample."""
    return block.T.astype("<i2", copy=False).tobytes()


def _header(sample_rate: int, channels: int, samples: int) -> bytes:
    frame = channels * _SAMPLE_BYTES
    size = samples * frame
    if size + HEADER_SIZE - 8 > _RIFF_LIMIT:
        raise ContainerError(
            f"{size} bytes of samples are too many for a WAV file, which ends at 4 GiB"
        )
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        size + HEADER_SIZE - 8,
        b"WAVE",
        b"fmt ",
        16,
        _PCM,
        channels,
        sample_rate,
        sample_rate * frame,
        frame,
        8 * _SAMPLE_BYTES,
        b"data",
        size,
    )

"""G.711 by tables: what the bytes of PCMU and PCMA mean as 16-bit samples, and the way back.

Decoding is ITU-T G.711 scaled to 16 bits, the same values that FFmpeg and every telephone give.
Encoding takes the nearest value that the codec has.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 8000
"""Samples per second of both codecs, and ticks per second of their RTP clock (RFC 3551 §4.5.14)."""

AUDIO_CODECS = frozenset({"pcmu", "pcma"})

_BYTES = np.arange(256, dtype=np.int32)
_MU_BIAS = 0x84


class UnknownCodecError(ValueError):
    """A codec that cannot be decoded here; the text names it."""


@cache
def decode_table(codec: str) -> npt.NDArray[np.int16]:
    """Return int16[256], read-only: the sample of each byte. Raises `UnknownCodecError`."""
    if codec == "pcmu":
        table = _mu_law()
    elif codec == "pcma":
        table = _a_law()
    else:
        raise UnknownCodecError(f"the codec {codec!r} cannot be decoded")
    table.flags.writeable = False
    return table


def decode(codec: str, data: npt.NDArray[np.uint8]) -> npt.NDArray[np.int16]:
    """Return the samples of `data`, in its shape."""
    return decode_table(codec)[data]


def encode(codec: str, samples: npt.NDArray[np.int16]) -> npt.NDArray[np.uint8]:
    """Return the byte nearest to each sample, in the shape of `samples`."""
    return _encode_table(codec)[samples.view(np.uint16)]


def _mu_law() -> npt.NDArray[np.int16]:
    code = ~_BYTES & 0xFF
    size = ((((code & 0x0F) << 3) + _MU_BIAS) << ((code >> 4) & 7)) - _MU_BIAS
    return np.where(code & 0x80, -size, size).astype(np.int16)


def _a_law() -> npt.NDArray[np.int16]:
    code = _BYTES ^ 0x55
    exponent = (code >> 4) & 7
    step = ((code & 0x0F) << 4) + 8
    size = np.where(exponent > 0, (step + 0x100) << np.maximum(exponent - 1, 0), step)
    return np.where(code & 0x80, size, -size).astype(np.int16)


@cache
def _encode_table(codec: str) -> npt.NDArray[np.uint8]:
    """Return uint8[65536], read-only, indexed by the sample's bits as an unsigned number."""
    # Stable and from the highest byte down: of mu-law's two zeros the positive one (0xFF) is taken.
    values = decode_table(codec).astype(np.int32)
    order = np.argsort(values[::-1], kind="stable")
    codes = (255 - order).astype(np.uint8)
    ordered = values[codes]
    kept = np.append(True, np.diff(ordered) > 0)
    codes, ordered = codes[kept], ordered[kept]
    limits = (ordered[:-1] + ordered[1:]) / 2
    samples = np.arange(65536, dtype=np.uint16).view(np.int16)
    table: npt.NDArray[np.uint8] = codes[np.searchsorted(limits, samples)]
    table.flags.writeable = False
    return table

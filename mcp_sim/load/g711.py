"""G.711 as two tables per law: 256 codes to 16-bit samples, and 65536 samples to the nearest code.

The generator writes with them what a phone would send, and reads WAV files that hold G.711. It
shares no table with the recorder on purpose: a mistake there would cancel itself out here.
ITU-T G.711 tables 1a/1b (A-law) and 2a/2b (mu-law), levels as 16-bit samples.
"""

from __future__ import annotations

from functools import cache
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Law: TypeAlias = Literal["pcmu", "pcma"]

PAYLOAD_TYPE: dict[Law, int] = {"pcmu": 0, "pcma": 8}
"""RFC 3551 §6, table 4."""


@cache
def decoding_table(law: Law) -> NDArray[np.int16]:
    """Return the sample of each code: int16[256]."""
    code = np.arange(256)
    if law == "pcmu":
        code ^= 0xFF
        exponent, step = (code >> 4) & 7, code & 15
        level = ((2 * step + 33) << (exponent + 2)) - 132
        negative = code & 0x80 != 0
    else:
        code ^= 0x55
        exponent, step = (code >> 4) & 7, code & 15
        level = np.where(
            exponent == 0, 16 * step + 8, (16 * step + 264) << np.maximum(exponent - 1, 0)
        )
        negative = code & 0x80 == 0
    table = np.where(negative, -level, level).astype(np.int16)
    table.flags.writeable = False
    return table


@cache
def encoding_table(law: Law) -> NDArray[np.uint8]:
    """Return the code of the nearest level, indexed by the sample as uint16: uint8[65536]."""
    levels = decoding_table(law).astype(np.int32)
    order = np.argsort(levels, kind="stable")
    # mu-law has two zeros, 0x7F and 0xFF: 0xFF comes last in this order and is the usual one.
    middles = (levels[order][:-1] + levels[order][1:]) / 2
    samples = np.arange(65536, dtype=np.uint16).view(np.int16)
    table = order[np.searchsorted(middles, samples, side="right")].astype(np.uint8)
    table.flags.writeable = False
    return table


def encode(samples: NDArray[np.int16], law: Law) -> NDArray[np.uint8]:
    """Return one code for each sample; same shape."""
    return encoding_table(law)[samples.view(np.uint16)]


def decode(codes: NDArray[np.uint8], law: Law) -> NDArray[np.int16]:
    """Return one sample for each code; same shape."""
    return decoding_table(law)[codes]

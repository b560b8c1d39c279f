"""Random numbers that can be asked for in any order: the n-th packet always draws the same ones.

Philox is a counter-based generator (Salmon et al., 2011): its raw output for a key and a counter is
fixed for good, which the distributions of numpy are not.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

COLUMNS: Final = 8
_ROWS: Final = 256
_DOMAIN: Final = "reclab impairment 1"


class Draws:
    """The draws of one leg of one call under one seed."""

    def __init__(self, seed: int, identity: str, leg: str) -> None:
        text = f"{_DOMAIN}\x00{seed}\x00{identity}\x00{leg}"
        digest = hashlib.sha256(text.encode()).digest()
        self._key = np.frombuffer(digest[:16], "<u8").astype(np.uint64)
        self.ssrc_mask = int.from_bytes(digest[16:20], "big") | 1
        """Turns an SSRC into another one."""
        self.second_sequence = int.from_bytes(digest[20:22], "big")
        self.second_timestamp = int.from_bytes(digest[22:26], "big")

    def rows(self, first: int, count: int) -> Floats:
        """Return float64[count, COLUMNS] in [0, 1): the draws of packets `first` and following."""
        low, high = first // _ROWS, -(-(first + count) // _ROWS)
        blocks = [self._block(number) for number in range(low, high)]
        if not blocks:
            return np.zeros((0, COLUMNS))
        drawn = np.concatenate(blocks)
        return drawn[first - low * _ROWS : first - low * _ROWS + count]

    def _block(self, number: int) -> Floats:
        counter = np.array([0, number, 0, 0], np.uint64)
        raw = np.random.Philox(key=self._key, counter=counter).random_raw(_ROWS * COLUMNS)
        drawn = (np.asarray(raw, np.uint64) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return drawn.reshape(_ROWS, COLUMNS)

"""What one leg of a test call sends: its signature, over a backdrop if there is one, as G.711.

Made packet by packet on demand, so a thousand legs need no memory for what they will say later.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mcp_sim.load import g711
from mcp_sim.load.signature import (
    PACKET_SAMPLES,
    SYMBOL_SAMPLES,
    Leg,
    draw_symbols,
    tone_table,
    waveform,
)

ALONE_AMPLITUDE: Final = 8000
"""Amplitude of the tones where nothing else sounds (-12 dBFS)."""
BACKED_AMPLITUDE: Final = 2000
"""Amplitude of the tones over a person's audio (-24 dBFS)."""

PACKETS_PER_SYMBOL: Final = SYMBOL_SAMPLES // PACKET_SAMPLES


@cache
def _symbol_packets(leg: Leg, law: g711.Law) -> NDArray[np.uint8]:
    sound = np.round(tone_table(leg) * ALONE_AMPLITUDE).astype(np.int16)
    packets = g711.encode(sound, law).reshape(-1, PACKET_SAMPLES)
    packets.flags.writeable = False
    return packets


class LegPayload:
    """The G.711 payload of one leg, at any packet index; packet 0 starts at the call's sample 0."""

    def __init__(
        self, identity: str, leg: Leg, law: g711.Law, backdrop: NDArray[np.int16] | None = None
    ) -> None:
        self.identity, self.leg, self.law = identity, leg, law
        self._backdrop = backdrop
        # The two parties of a call do not say the same thing at the same time.
        self._behind = 0 if backdrop is None or leg == "customer" else len(backdrop) // 2

    def packets(self, first: int, count: int) -> NDArray[np.uint8]:
        """Return packets `first` … `first + count - 1`: uint8[count, PACKET_SAMPLES]."""
        if self._backdrop is None:
            return self._tones(first, count)
        start, samples = first * PACKET_SAMPLES, count * PACKET_SAMPLES
        tones = waveform(self.identity, self.leg, start, samples) * BACKED_AMPLITUDE
        behind = np.take(self._backdrop, np.arange(samples) + (start + self._behind), mode="wrap")
        sound = np.clip(np.round(tones + behind), -32768, 32767).astype(np.int16)
        return g711.encode(sound, self.law).reshape(count, PACKET_SAMPLES)

    def _tones(self, first: int, count: int) -> NDArray[np.uint8]:
        symbol = first // PACKETS_PER_SYMBOL
        symbols = -(-(first + count) // PACKETS_PER_SYMBOL) - symbol
        drawn = draw_symbols(self.identity, self.leg, symbol, symbols).astype(np.intp)
        index = np.arange(first, first + count)
        rows = drawn[index // PACKETS_PER_SYMBOL - symbol] * PACKETS_PER_SYMBOL
        packets: NDArray[np.uint8] = _symbol_packets(self.leg, self.law)
        chosen: NDArray[np.uint8] = packets[rows + index % PACKETS_PER_SYMBOL]
        return chosen

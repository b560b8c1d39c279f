"""How a leg shall be impaired, as a person writes it in TOML, JSON or on the command line.

Every field defaults to nothing. `burst_length` and `reorder_by` say how, and do nothing alone.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

FRAME_SECONDS: Final = 0.02
LONGEST_BURST: Final = 500
FARTHEST_REORDER: Final = 100
LONGEST_JITTER_MS: Final = 2000.0
FASTEST_DRIFT_PPM: Final = 200.0
LATEST_SECONDS: Final = 24 * 3600.0


class ImpairmentError(ValueError):
    """A field makes no sense; the sentence names it."""


class Impairment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes wrong on one leg. Probabilities are 0 to 1 for each packet of 20 ms."""

    loss: float = 0.0
    """Probability that a packet is not sent; its sequence number is missing."""
    burst_loss: float = 0.0
    """Probability that a burst begins, in which no packet is sent."""
    burst_length: int = 5
    """Packets of a burst."""
    duplicate: float = 0.0
    """Probability that a packet is sent twice."""
    reorder: float = 0.0
    """Probability that a packet is held back until `reorder_by` later ones have had their turn."""
    reorder_by: int = 2
    jitter_ms: float = 0.0
    """Each packet leaves up to so many milliseconds late, evenly spread; above 20 some overtake."""
    ssrc_change_at: float | None = None
    """Seconds after which the leg goes on under another SSRC, with other numbers."""
    drift_ppm: float = 0.0
    """How much too fast (or slow, below 0) the leg's clock runs, in millionths."""
    one_way: bool = False
    """The leg is negotiated, and sends nothing."""
    nat_rebinding_at: float | None = None
    """Seconds after which the packets come from another port."""
    talk: float = 0.0
    silence: float = 0.0
    """Silence suppression: `talk` seconds with packets, `silence` seconds without, and again."""

    def check(self) -> None:
        """Raise `ImpairmentError` for the first field that makes no sense."""
        for name in ("loss", "burst_loss", "duplicate", "reorder"):
            _within(name, getattr(self, name), 0, 1)
        _within("burst_length", self.burst_length, 1, LONGEST_BURST)
        _within("reorder_by", self.reorder_by, 1, FARTHEST_REORDER)
        _within("jitter_ms", self.jitter_ms, 0, LONGEST_JITTER_MS)
        _within("drift_ppm", self.drift_ppm, -FASTEST_DRIFT_PPM, FASTEST_DRIFT_PPM)
        for name in ("ssrc_change_at", "nat_rebinding_at"):
            at = getattr(self, name)
            if at is not None:
                _within(name, at, FRAME_SECONDS, LATEST_SECONDS)
        self._check_silence()
        if self.one_way and self != Impairment(one_way=True):
            raise ImpairmentError("one_way sends nothing, so nothing else can go wrong with it")

    def _check_silence(self) -> None:
        if self.talk == 0 and self.silence == 0:
            return
        if self.talk == 0 or self.silence == 0:
            raise ImpairmentError("talk and silence are needed together, in seconds")
        _within("talk", self.talk, FRAME_SECONDS, LATEST_SECONDS)
        _within("silence", self.silence, FRAME_SECONDS, LATEST_SECONDS)

    @property
    def talk_frames(self) -> int:
        """Packets in a row; 0 where silence is not suppressed."""
        return max(round(self.talk / FRAME_SECONDS), 1) if self.silence else 0

    @property
    def silence_frames(self) -> int:
        """Packets left out behind them."""
        return max(round(self.silence / FRAME_SECONDS), 1) if self.silence else 0


def _within(name: str, value: float, least: float, most: float) -> None:
    if not (math.isfinite(value) and least <= value <= most):
        raise ImpairmentError(f"{name} must be between {least:g} and {most:g}, not {value:g}")

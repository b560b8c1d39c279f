"""Recordings made for these tests as a perfect recorder would make them, and their MP3 copies."""

from __future__ import annotations

from typing import Protocol, cast

import lameenc
import numpy as np
from numpy.typing import NDArray

from mcp_sim.load import g711
from mcp_sim.load.backdrop import make_loop
from mcp_sim.load.decode import Sound, decode_media
from mcp_sim.load.finding import Expectation, ExpectedLeg, Sent
from mcp_sim.load.payload import LegPayload
from mcp_sim.load.signature import LEGS, PACKET_SAMPLES, Floats, Leg
from mcp_sim.load.wave_file import Wave

LEAD = 88
"""Samples before the call's sample 0: no multiple of anything."""
TRAIL = 240


def uuid_of(number: int) -> str:
    """Return a call identity that looks like a real one."""
    return np.base_repr(10**48 + number * 7**11, 36)[-32:]


def leg_sound(
    identity: str,
    leg: Leg,
    packets: int,
    law: g711.Law = "pcmu",
    backdrop: NDArray[np.int16] | None = None,
) -> Floats:
    """Return what a leg sends, decoded: float32[packets * 160]."""
    sent = LegPayload(identity, leg, law, backdrop).packets(0, packets)
    return g711.decode(sent.reshape(-1), law).astype(np.float32)


def stereo(
    identity: str,
    packets: int,
    law: g711.Law = "pcmu",
    backdrop: NDArray[np.int16] | None = None,
) -> Floats:
    """Return a whole two-leg recording: float32[2, LEAD + packets * 160 + TRAIL]."""
    sound = np.zeros((2, LEAD + packets * PACKET_SAMPLES + TRAIL), np.float32)
    for channel, leg in enumerate(LEGS):
        sound[channel, LEAD:-TRAIL] = leg_sound(identity, leg, packets, law, backdrop)
    return sound


def mixed(sound: Floats) -> Floats:
    """Mix the channels into one, saturating at 16 bits."""
    return np.asarray(np.clip(sound.sum(axis=0, keepdims=True), -32768, 32767), np.float32)


def both_legs(
    identity: str,
    *,
    mono: bool = False,
    packets: int | None = None,
    duration_ms: float | None = None,
    around_ms: float = 0,
) -> Expectation:
    """Expect the customer on the left and the agent on the right, or both in one channel."""
    sent = None if packets is None else Sent(0, packets)
    legs = (ExpectedLeg("customer", 0, sent), ExpectedLeg("agent", 0 if mono else 1, sent))
    return Expectation(identity=identity, legs=legs, duration_ms=duration_ms, around_ms=around_ms)


def speech(seconds: float = 20.0, rate: int = 16000, seed: int = 1) -> Floats:
    """Return loud sound like speech: gliding harmonics, hisses, pauses: float32[1, n]."""
    draw = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    pitch = 2 * np.pi * np.cumsum(130 + 40 * np.sin(4.4 * time + seed)) / rate
    voice = sum((np.sin(k * pitch + k) / k**0.7 for k in range(1, 30)), np.zeros(len(time)))
    voiced = np.clip(np.sin(10.7 * time + seed) + 0.3, 0, 1)
    hiss = draw.normal(0, 2, len(time)) * np.clip(-np.sin(10.7 * time + seed) - 0.5, 0, 1)
    sound = voice * voiced + hiss
    return np.asarray(sound / np.abs(sound).max() * 30000, np.float32)[None]


def speech_loop() -> NDArray[np.int16]:
    """Return `speech` as a backdrop."""
    return make_loop(Wave(speech(), 16000))


class _Encoder(Protocol):
    def set_bit_rate(self, kbps: int) -> None: ...
    def set_in_sample_rate(self, rate: int) -> None: ...
    def set_out_sample_rate(self, rate: int) -> None: ...
    def set_channels(self, channels: int) -> None: ...
    def set_quality(self, quality: int) -> None: ...
    def silence(self) -> None: ...
    def encode(self, pcm: bytes) -> bytearray: ...
    def flush(self) -> bytearray: ...


def through_mp3(sound: Floats, kbps_per_channel: int) -> Sound:
    """Encode by LAME and decode again; LAME's own delay of 1105 samples is cut off."""
    encoder = cast("_Encoder", lameenc.Encoder())
    encoder.set_bit_rate(kbps_per_channel * len(sound))
    encoder.set_in_sample_rate(8000)
    encoder.set_out_sample_rate(8000)
    encoder.set_channels(len(sound))
    encoder.set_quality(5)
    encoder.silence()
    pcm = np.clip(np.round(sound.T), -32768, 32767).astype("<i2").tobytes()
    coded = bytes(encoder.encode(pcm)) + bytes(encoder.flush())
    decoded = decode_media(coded, "audio/mp3")
    return Sound(decoded.samples[:, 1105 : 1105 + sound.shape[1]], lossy=True)

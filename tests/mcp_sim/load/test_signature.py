"""The signature: a pure function of the call, the leg and the index, and fit for phones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_sim.load import g711
from mcp_sim.load.payload import ALONE_AMPLITUDE, LegPayload
from mcp_sim.load.signature import (
    AUDIO_CEILING,
    LEGS,
    SAMPLE_RATE,
    SYMBOL_SAMPLES,
    Leg,
    band,
    draw_symbols,
    tone_frequencies,
    waveform,
)
from tests.mcp_sim.load.sounds import uuid_of


@settings(max_examples=60, deadline=None)
@given(first=st.integers(-5000, 200_000), count=st.integers(0, 5000), leg=st.sampled_from(LEGS))
def test_any_window_is_cut_from_the_same_stream(first: int, count: int, leg: Leg) -> None:
    """A window made on its own equals the same stretch of a longer one."""
    whole = waveform("CALL", leg, -5000, 210_000)
    assert np.array_equal(
        waveform("CALL", leg, first, count), whole[first + 5000 : first + 5000 + count]
    )


def test_signatures_do_not_change_between_releases() -> None:
    """The symbols of a call are what they were: recordings of old runs can still be verified."""
    assert draw_symbols("A" * 32, "customer", 0, 12).tolist() == FIRST_SYMBOLS["customer"]
    assert draw_symbols("A" * 32, "agent", 0, 12).tolist() == FIRST_SYMBOLS["agent"]


@pytest.mark.parametrize("leg", LEGS)
def test_tones_never_click(leg: Leg) -> None:
    """No step between two samples is larger than the highest tone alone makes."""
    sound = waveform(uuid_of(1), leg, 0, 60 * SAMPLE_RATE)
    steepest = 2 * np.sin(np.pi * tone_frequencies(leg)[-1] / SAMPLE_RATE)
    assert np.abs(np.diff(sound)).max() <= steepest + 1e-5
    assert np.abs(sound[::SYMBOL_SAMPLES]).max() < 1e-5


def test_alphabets_are_apart_and_above_the_audio() -> None:
    """The legs' bands do not touch each other nor the person's audio, and end where LAME can."""
    customer, agent = band("customer"), band("agent")
    assert customer[0] > AUDIO_CEILING
    assert customer[1] < agent[0]
    assert agent[1] < 3333


def test_streams_of_thousands_of_calls_differ() -> None:
    """Among 4,000 streams no two agree in more than 20 of 50 symbols."""
    streams = np.array(
        [draw_symbols(uuid_of(n), leg, 0, 50) for n in range(2000) for leg in LEGS], np.uint8
    )
    one_hot = (streams[:, :, None] == np.arange(16)).reshape(len(streams), -1)
    agreement = one_hot.astype(np.float32) @ one_hot.T.astype(np.float32)
    np.fill_diagonal(agreement, 0)
    assert agreement.max() <= 20


@pytest.mark.parametrize("law", ["pcmu", "pcma"])
def test_payload_is_the_signature(law: g711.Law) -> None:
    """What is sent decodes to the signature within G.711's own error, at any packet."""
    payload = LegPayload(uuid_of(2), "agent", law)
    sent = g711.decode(payload.packets(333, 7), law).reshape(-1).astype(np.float32)
    wanted = waveform(uuid_of(2), "agent", 333 * 160, 7 * 160) * ALONE_AMPLITUDE
    assert np.abs(sent - wanted).max() <= 260
    assert np.array_equal(payload.packets(0, 400)[333:340], payload.packets(333, 7))


def test_payload_over_a_backdrop_holds_both() -> None:
    """With a backdrop the audio is heard, looped, and the legs say different things."""
    loop = (10_000 * np.sin(2 * np.pi * 440 * np.arange(4000) / SAMPLE_RATE)).astype(np.int16)
    loop[:2000] = 0
    sent = LegPayload("X", "customer", "pcma", loop).packets(0, 100)
    sound = g711.decode(sent.reshape(-1), "pcma").astype(np.float32)
    rms = np.sqrt(np.mean(sound.reshape(-1, 2000) ** 2, axis=1))
    assert rms[0::2].max() < 2000 < 6000 < rms[1::2].min()
    other = LegPayload("X", "agent", "pcma", loop).packets(0, 100)
    other_sound = g711.decode(other.reshape(-1), "pcma").astype(np.float32)
    assert np.sqrt(np.mean(other_sound[:2000] ** 2)) > 6000


FIRST_SYMBOLS: dict[Leg, list[int]] = {
    "customer": [7, 7, 2, 2, 13, 14, 15, 13, 15, 8, 11, 3],
    "agent": [10, 11, 4, 0, 13, 5, 15, 4, 6, 9, 2, 11],
}

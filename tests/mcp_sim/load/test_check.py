"""The check sees every kind of damage, says how large it is, and accepts no other call's sound."""

from __future__ import annotations

import numpy as np
import pytest

from mcp_sim.load import g711
from mcp_sim.load.acquire import correlate
from mcp_sim.load.check import check
from mcp_sim.load.decode import Sound
from mcp_sim.load.finding import Expectation, ExpectedLeg, Finding, Sent, Tolerances
from mcp_sim.load.signature import (
    SAMPLE_RATE,
    SYMBOL_SAMPLES,
    Floats,
    draw_symbols,
    tone_frequencies,
)
from tests.mcp_sim.load.sounds import (
    LEAD,
    TRAIL,
    both_legs,
    leg_sound,
    mixed,
    speech_loop,
    stereo,
    through_mp3,
    uuid_of,
)

CALL = uuid_of(0)
SECONDS = 6
PACKETS = SECONDS * 50


def cut(sound: Floats, channel: int, packet: int, count: int) -> None:
    """Put silence in place of packets, as where nothing came."""
    start = LEAD + packet * 160
    sound[channel, start : start + count * 160] = 0


@pytest.mark.parametrize("law", ["pcmu", "pcma"])
@pytest.mark.parametrize("backed", [False, True])
def test_a_whole_recording_is_verified(law: g711.Law, backed: bool) -> None:
    """Nothing is missing, shifted or leaking, whatever the law and whatever is heard behind."""
    sound = stereo(CALL, PACKETS, law, speech_loop() if backed else None)
    expected = both_legs(CALL, packets=PACKETS, duration_ms=sound.shape[1] / 8)
    finding = check(Sound(sound), expected)
    assert finding.problems == ()
    assert finding.verified
    assert (finding.offset_ms, finding.swap, finding.duration_error_ms) == (0, False, 0)
    for leg in finding.legs:
        assert (leg.shift_ms, leg.heard_ms, leg.missing_ms) == (LEAD / 8, SECONDS * 1000, 0)
        assert leg.trail_ms == TRAIL / 8
        assert leg.jumps == ()


@pytest.mark.parametrize("shift", [1, 2, 3, 7, 40, 161, 4000])
def test_a_shift_of_single_samples_is_measured(shift: int) -> None:
    """The offset between the legs is right to one sample, both ways."""
    sound = stereo(CALL, PACKETS)
    later = np.pad(sound, ((0, 0), (0, shift)))
    later[1] = np.roll(later[1], shift)
    assert check(Sound(later), both_legs(CALL)).offset_ms == shift / 8
    assert check(Sound(later[::-1]), both_legs(CALL)).offset_ms == shift / 8
    later = np.pad(sound, ((0, 0), (0, shift)))
    later[0] = np.roll(later[0], shift)
    finding = check(Sound(later), both_legs(CALL))
    assert finding.offset_ms == -shift / 8
    assert finding.verified == (shift <= 160)


@pytest.mark.parametrize("packets", [1, 2, 5, 60])
def test_gaps_are_seen_to_the_packet(packets: int) -> None:
    """Silence in place of packets is missing milliseconds, with its place, on that leg only."""
    sound = stereo(CALL, PACKETS)
    cut(sound, 1, 101, packets)
    finding = check(Sound(sound), both_legs(CALL))
    customer, agent = finding.legs
    assert not finding.verified
    assert (customer.missing_ms, agent.missing_ms) == (0, packets * 20)
    assert [(gap.at_ms, gap.length_ms) for gap in agent.gaps] == [(LEAD / 8 + 2020, packets * 20)]
    assert agent.jumps == ()


def test_each_of_many_gaps_is_counted() -> None:
    """Fifty single losses, some side by side, are a thousand missing milliseconds."""
    sound = stereo(CALL, PACKETS)
    lost = sorted(np.random.default_rng(3).choice(np.arange(5, PACKETS - 5), 50, replace=False))
    for packet in lost:
        cut(sound, 0, int(packet), 1)
    finding = check(Sound(sound), both_legs(CALL))
    assert (finding.legs[0].missing_ms, finding.legs[1].missing_ms) == (1000, 0)


def test_a_gap_of_a_few_milliseconds_is_seen_in_a_clean_copy() -> None:
    """In a WAV file half a packet of silence is not overlooked."""
    sound = stereo(CALL, PACKETS)
    sound[0, LEAD + 8000 : LEAD + 8080] = 0
    assert check(Sound(sound), both_legs(CALL)).legs[0].missing_ms == 20


@pytest.mark.parametrize(("removed", "by_ms"), [(160, -20), (1, -0.125), (8000, -1000)])
def test_audio_cut_out_is_a_jump(removed: int, by_ms: float) -> None:
    """Where packets were dropped and the rest closed up, the signature goes on too early."""
    sound = stereo(CALL, PACKETS)
    at = LEAD + 3 * 8000
    agent = np.concatenate([sound[1, :at], sound[1, at + removed :], np.zeros(removed)])
    finding = check(Sound(np.stack([sound[0], agent.astype(np.float32)])), both_legs(CALL))
    assert [jump.by_ms for jump in finding.legs[1].jumps] == [by_ms]
    assert finding.legs[1].jumps[0].at_ms == pytest.approx(at / 8, abs=100)
    assert finding.legs[1].missing_ms <= removed / 8 + 20
    assert finding.offset_ms == by_ms
    assert finding.verified == (removed == 1 and finding.legs[1].missing_ms == 0)


def test_audio_put_in_is_a_jump() -> None:
    """Where a packet was played twice, the signature goes on too late."""
    sound = stereo(CALL, PACKETS)
    at = LEAD + 150 * 160
    doubled = np.concatenate([sound[0, :at], sound[0, at - 160 : at], sound[0, at:-160]])
    finding = check(Sound(np.stack([doubled, sound[1]])), both_legs(CALL))
    assert [jump.by_ms for jump in finding.legs[0].jumps] == [20]
    assert finding.legs[0].missing_ms == 0
    assert not finding.verified


def test_several_jumps_are_followed() -> None:
    """A leg that lost a packet every second, closed up, is found to its end."""
    whole = leg_sound(CALL, "customer", PACKETS).reshape(-1, 160)
    kept = np.delete(whole, np.arange(45, 250, 50), axis=0).reshape(1, -1)
    expected = Expectation(identity=CALL, legs=(ExpectedLeg("customer", 0, Sent(0, PACKETS)),))
    leg = check(Sound(kept), expected).legs[0]
    assert [jump.by_ms for jump in leg.jumps] == [-20] * 5
    assert leg.heard_ms == kept.shape[1] / 8
    assert leg.missing_ms == 100


def test_a_drifting_clock_is_followed() -> None:
    """At 50 ppm the signature moves sample by sample, and nothing is missing."""
    index = np.arange(20 * 8000) * (1 + 50e-6)
    symbol = (index // SYMBOL_SAMPLES).astype(int)
    tone = tone_frequencies("customer")[draw_symbols(CALL, "customer", 0, 202)[symbol]]
    cycles = tone * (index - symbol * SYMBOL_SAMPLES) / SAMPLE_RATE
    slow = (8000 * np.sin(2 * np.pi * cycles)).astype(np.float32)[None]
    expected = Expectation(identity=CALL, legs=(ExpectedLeg("customer", 0),))
    leg = check(Sound(slow), expected).legs[0]
    assert leg.missing_ms == 0
    assert [jump.by_ms for jump in leg.jumps] == [-0.125] * 8


@pytest.mark.parametrize("kbps", [0, 16, 32])
@pytest.mark.parametrize("backed", [False, True])
def test_mixed_legs_are_told_apart(kbps: int, backed: bool) -> None:
    """In one channel both signatures are found, whole, and a long gap in one is that one's."""
    whole = stereo(CALL, PACKETS, "pcmu", speech_loop() if backed else None)
    finding = check(coded(mixed(whole), kbps), both_legs(CALL, mono=True, packets=PACKETS))
    assert finding.problems == ()
    cut(whole, 0, 120, 5)
    finding = check(coded(mixed(whole), kbps), both_legs(CALL, mono=True, packets=PACKETS))
    assert finding.legs[1].missing_ms == 0
    assert 60 <= finding.legs[0].missing_ms <= 140


@pytest.mark.parametrize("kbps", [16, 32])
@pytest.mark.parametrize("backed", [False, True])
def test_mp3_copies_are_verified(kbps: int, backed: bool) -> None:
    """At 16 kbit/s per channel nothing seems missing, and what is missing is seen."""
    sound = stereo(CALL, PACKETS, "pcma", speech_loop() if backed else None)
    finding = check(coded(sound, kbps), both_legs(CALL, packets=PACKETS))
    assert finding.problems == ()
    assert finding.offset_ms == 0
    cut(sound, 0, 77, 2)
    cut(sound, 1, 200, 3)
    customer, agent = check(coded(sound, kbps), both_legs(CALL, packets=PACKETS)).legs
    assert customer.missing_ms == pytest.approx(40, abs=20)
    assert agent.missing_ms == pytest.approx(60, abs=20)


def coded(sound: Floats, kbps_per_channel: int) -> Sound:
    """Return the sound as it is, or through MP3."""
    return through_mp3(sound, kbps_per_channel) if kbps_per_channel else Sound(sound)


def test_swapped_channels_are_seen() -> None:
    """Both legs whole but exchanged: a swap, nothing else."""
    finding = check(Sound(stereo(CALL, PACKETS)[::-1]), both_legs(CALL))
    assert finding.swap
    assert finding.problems == ("on the wrong channel: customer, agent",)
    assert [leg.channel for leg in finding.legs] == [1, 0]


def test_a_leg_on_both_channels_is_seen() -> None:
    """A leg that leaks into the other one's channel is named, with its level."""
    sound = stereo(CALL, PACKETS)
    sound[1] += sound[0] / 4
    finding = check(Sound(sound), both_legs(CALL))
    assert len(finding.problems) == 1
    assert "customer: is also heard on the other channel (-12" in finding.problems[0]


def test_a_missing_leg_is_named() -> None:
    """Silence in place of the agent is the agent not found."""
    sound = stereo(CALL, PACKETS)
    sound[1] = 0
    finding = check(Sound(sound), both_legs(CALL, packets=PACKETS))
    assert finding.problems == (
        f"agent: {SECONDS * 1000} ms missing: no signature of this call was found",
    )
    assert finding.offset_ms is None
    assert finding.signed


def test_one_party_recordings_have_a_silent_side() -> None:
    """A plain call is whole with silence on the right; sound there is unexpected."""
    sound = stereo(CALL, PACKETS)
    sound[1] = 8
    expected = Expectation(identity=CALL, legs=(ExpectedLeg("customer", 0),))
    assert check(Sound(sound), expected).verified
    sound[1, 9000:11000] = 300
    finding = check(Sound(sound), expected)
    assert finding.problems == ("unexpected sound on the right channel (300 RMS)",)


def test_noise_costs_nothing() -> None:
    """At 14 dB signal to noise all is found; the noise is reported."""
    sound = stereo(CALL, PACKETS)
    sound += np.random.default_rng(4).normal(0, 1100, sound.shape).astype(np.float32)
    finding = check(Sound(sound), both_legs(CALL), Tolerances(silence_rms=5000))
    assert finding.verified
    assert 0.005 < finding.legs[0].noise < 0.1


def test_what_was_sent_decides_what_is_missing() -> None:
    """Packets lost at the head or the tail count when the sender's counts are known."""
    sound = stereo(CALL, PACKETS)
    cut(sound, 0, 0, 3)
    cut(sound, 1, PACKETS - 2, 2)
    finding = check(Sound(sound), both_legs(CALL, packets=PACKETS))
    assert [leg.missing_ms for leg in finding.legs] == [60, 40]
    assert [leg.head_ms for leg in finding.legs] == [60, 0]
    unknown = check(Sound(sound), both_legs(CALL))
    assert [leg.missing_ms for leg in unknown.legs] == [60, 0]
    assert unknown.legs[1].trail_ms == TRAIL / 8 + 40


def test_a_leg_that_starts_later_misses_nothing() -> None:
    """A leg whose first packet is number 100 begins there, on the same clock."""
    sound = stereo(CALL, PACKETS)
    cut(sound, 1, 0, 100)
    legs = (
        ExpectedLeg("customer", 0, Sent(0, PACKETS)),
        ExpectedLeg("agent", 1, Sent(100, PACKETS - 100)),
    )
    finding = check(Sound(sound), Expectation(identity=CALL, legs=legs))
    assert finding.verified
    assert finding.offset_ms == 0


def test_a_leg_that_starts_after_minutes_is_found() -> None:
    """The search goes on until the leg begins to sound."""
    packets = 130 * 50
    sound = np.zeros((2, packets * 160), np.float32)
    sound[0] = leg_sound(CALL, "customer", packets)
    sound[1] = leg_sound(CALL, "agent", packets)
    sound[1, : 120 * 8000] = 0
    legs = (
        ExpectedLeg("customer", 0, Sent(0, packets)),
        ExpectedLeg("agent", 1, Sent(6000, packets - 6000)),
    )
    assert check(Sound(sound), Expectation(identity=CALL, legs=legs)).verified


@pytest.mark.parametrize("quiet", [30, 60, 90])
def test_a_leg_that_speaks_briefly_is_found(quiet: int) -> None:
    """Of three seconds, a leg's last 2.4, 1.8 or 1.2 are enough."""
    sound = stereo(CALL, 150)
    cut(sound, 1, 0, quiet)
    legs = (
        ExpectedLeg("customer", 0, Sent(0, 150)),
        ExpectedLeg("agent", 1, Sent(quiet, 150 - quiet)),
    )
    assert check(Sound(sound), Expectation(identity=CALL, legs=legs)).problems == ()


def test_the_start_cut_off_is_missing() -> None:
    """A recording that begins after the media did misses its head."""
    sound = stereo(CALL, PACKETS)[:, LEAD + 800 :]
    finding = check(Sound(sound), both_legs(CALL))
    assert [leg.head_ms for leg in finding.legs] == [100, 100]
    assert not finding.verified


def test_a_later_segment_of_a_call_is_verified() -> None:
    """A second recording of a call, from its fourth second on, is whole in itself."""
    sound = stereo(CALL, PACKETS)[:, LEAD + 4 * 8000 + 53 :]
    assert check(Sound(sound), both_legs(CALL, around_ms=-4000)).verified


def test_the_end_must_not_be_silent() -> None:
    """Where nobody says what was sent, a long silence at the end is a problem."""
    sound = np.pad(stereo(CALL, PACKETS), ((0, 0), (0, 3 * 8000)))
    finding = check(Sound(sound), both_legs(CALL))
    assert finding.problems == (
        "customer: nothing in the last 3030 ms of the recording",
        "agent: nothing in the last 3030 ms of the recording",
    )


def test_the_duration_is_compared() -> None:
    """Metadata that says another length than the file has is a problem beyond 40 ms."""
    sound = stereo(CALL, PACKETS)
    file_ms = sound.shape[1] / 8
    assert check(Sound(sound), both_legs(CALL, duration_ms=file_ms - 40)).verified
    finding = check(Sound(sound), both_legs(CALL, duration_ms=file_ms + 41))
    assert finding.duration_error_ms == -41
    assert finding.problems == ("the file is 41.0 ms shorter than the metadata says",)


def test_paused_spans_are_silent_and_miss_nothing() -> None:
    """What was paused is not missing; if it can be heard, that is the problem."""
    sound = stereo(CALL, PACKETS)
    start, stop = LEAD + 2 * 8000 + 33, LEAD + 4 * 8000 + 77
    paused = sound.copy()
    paused[:, start:stop] = 0
    expected = Expectation(
        identity=CALL,
        legs=both_legs(CALL, packets=PACKETS).legs,
        paused=((start / 8, stop / 8),),
    )
    assert check(Sound(paused), expected).problems == ()
    assert check(Sound(sound), expected).problems == ("sound in the paused span at 2.015 s",)


@pytest.mark.parametrize("seconds", [1, 6])
def test_no_other_calls_signature_is_accepted(seconds: int) -> None:
    """A recording is not taken for any of five other calls, searched for up to a minute away."""
    sound = Sound(stereo(CALL, seconds * 50))
    for number in range(1, 6):
        assert not check(sound, both_legs(uuid_of(number))).signed


def test_among_a_thousand_calls_only_one_comes_near() -> None:
    """At 1,000 wrong calls, 100 places each, no score comes near the threshold.

    12 of 20 symbols would have to agree by chance, each with 1/16: under 5e-10 for each place.
    """
    window = stereo(CALL, 100)[0, LEAD : LEAD + 16000]
    scores = [
        correlate(window, 0, uuid_of(number), "customer", -40_000, 40_000).score
        for number in range(1, 1001)
    ]
    assert max(scores) < 0.45
    assert correlate(window, 0, CALL, "customer", -40_000, 40_000).score > 0.98


@pytest.mark.parametrize("kind", ["silence", "noise", "speech", "tone"])
def test_other_sound_is_no_signature(kind: str) -> None:
    """Silence, noise, speech, and a tone of the alphabet are nobody's signature."""
    count = 20 * 8000
    sound: Floats = np.zeros((2, count), np.float32)
    if kind == "noise":
        sound = np.random.default_rng(5).normal(0, 5000, (2, count)).astype(np.float32)
    elif kind == "speech":
        sound = np.repeat(speech_loop()[None].astype(np.float32), 2, axis=0)
    elif kind == "tone":
        sound += (8000 * np.sin(2 * np.pi * 2700 * np.arange(count) / 8000)).astype(np.float32)
    assert not check(Sound(sound), both_legs(CALL)).signed


@pytest.mark.parametrize("samples", [0, 1, 159, 800, 5000])
def test_recordings_too_short_to_tell_are_not_verified(samples: int) -> None:
    """Under 0.8 s there is too little to prove whose call it is."""
    finding: Finding = check(Sound(stereo(CALL, 50)[:, :samples]), both_legs(CALL))
    assert not finding.verified
    assert not finding.signed


def test_a_short_call_is_verified() -> None:
    """One second is enough."""
    assert check(Sound(stereo(CALL, 50)), both_legs(CALL, packets=50)).verified


def test_a_mono_file_with_two_expected_channels_is_no_crash() -> None:
    """An agent expected on the right of a one-channel file is found on the wrong channel."""
    finding = check(Sound(mixed(stereo(CALL, PACKETS))), both_legs(CALL))
    assert finding.swap
    assert not finding.verified

"""The timeline when a sender's clock, source or payload changes under way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from .synthetic_call import (
    MS,
    SECOND,
    Datagram,
    call,
    heard,
    play,
    rtp,
    speech,
    stream,
    without_payload,
)


def test_a_new_source_is_anchored_by_its_own_arrival() -> None:
    """Another SSRC with other numbers goes on where it arrives."""
    one, two = speech(100, seed=1), speech(100, seed=2)
    sent = stream(one) + stream(
        two, start=2500 * MS, ssrc=0xBEEF, sequence=3, timestamp=4_000_000_000
    )
    out, (report,) = play(call(6000), sent)
    assert np.array_equal(out[0, :16_000], heard(one))
    assert np.array_equal(out[0, 20_000:36_000], heard(two))
    assert (report.packets, report.lost, report.silent_ms) == (200, 0, 500)


def test_a_timestamp_set_anew_is_anchored_anew() -> None:
    """The same SSRC jumps to other timestamps: its sound goes on where it arrives."""
    one, two = speech(400, seed=1), speech(400, seed=2)
    sent = stream(one) + stream(two, start=8 * SECOND, sequence=7400, timestamp=77)
    out, (report,) = play(call(17_000), sent)
    assert np.array_equal(out[0, :64_000], heard(one))
    assert np.array_equal(out[0, 64_000:128_000], heard(two))
    assert (report.packets, report.lost, report.late) == (800, 0, 0)


def test_a_sequence_set_anew_is_no_loss() -> None:
    """A sender that restarts its sequence numbers has lost nothing."""
    one, two = speech(100, seed=1), speech(100, seed=2)
    sent = stream(one) + stream(two, start=2 * SECOND, sequence=40_000, timestamp=123_456 + 16_000)
    out, (report,) = play(call(5000), sent)
    assert np.array_equal(out[0, :32_000], heard(one + two))
    assert (report.packets, report.lost) == (200, 0)


def test_a_long_loss_is_a_loss() -> None:
    """80 seconds that never arrived are 4,000 lost packets, not a new start."""
    payloads = speech(4200)
    sent = stream(payloads)
    out, (report,) = play(call(85_000), sent[:100] + sent[4100:])
    assert np.array_equal(out[0, 4100 * 160 : 4200 * 160], heard(payloads[4100:]))
    assert (report.packets, report.lost, report.silent_ms) == (200, 4000, 0)


def test_one_wild_timestamp_disturbs_nobody_else() -> None:
    """A single packet with a mad timestamp leaves the sound around it in place."""
    payloads = speech(800)
    sent = stream(payloads)
    wild = rtp(7400, 3_000_000_000, payloads[400])
    sent[400] = Datagram(sent[400].at, 0, wild)
    out, (report,) = play(call(17_000), sent)
    expected = heard(payloads)
    assert np.array_equal(out[0, : 400 * 160], expected[: 400 * 160])
    assert np.array_equal(out[0, 401 * 160 : 128_000], expected[401 * 160 :])
    assert (report.packets, report.lost) == (800, 0)


@pytest.mark.parametrize("batch_size", [20, 5000])
def test_a_stall_of_the_network_shifts_nothing(batch_size: int) -> None:
    """Eight seconds held back and delivered at once lie where they were sent."""
    payloads = speech(1500)

    def stall(index: int) -> int:
        return max(0, (900 - index) * 20 * MS) if 500 <= index < 900 else 0

    out, (report,) = play(call(31_000), stream(payloads, delay=stall), batch_size=batch_size)
    assert np.array_equal(out[0, :240_000], heard(payloads))
    assert (report.lost, report.late, report.silent_ms) == (0, 0, 0)


def test_a_clock_that_stood_still_is_anchored_anew() -> None:
    """A held sender whose timestamps waited goes on where it arrives, 20 seconds later."""
    one, two = speech(400, seed=1), speech(400, seed=2)
    sent = stream(one) + stream(two, start=28 * SECOND, sequence=7400, timestamp=123_456 + 64_000)
    out, (report,) = play(call(37_000), sent)
    assert np.array_equal(out[0, :64_000], heard(one))
    assert np.array_equal(out[0, 224_000:288_000], heard(two))
    assert (report.lost, report.silent_ms) == (0, 20_000)


def test_telephone_events_move_no_audio() -> None:
    """Events share the sequence numbers; the audio around them stays, and nothing is lost."""
    one, two = speech(50, seed=1), speech(50, seed=2)
    events = [
        Datagram(SECOND + i * 20 * MS, 0, rtp(7050 + i, 131_456, b"\1\x0a\0\xa0", payload_type=101))
        for i in range(10)
    ]
    after = stream(two, start=1200 * MS, sequence=7060, timestamp=123_456 + 9600)
    out, (report,) = play(call(4000), stream(one) + events + after)
    assert np.array_equal(out[0, :8000], heard(one))
    assert not out[0, 8000:9600].any()
    assert np.array_equal(out[0, 9600:17_600], heard(two))
    assert (report.packets, report.lost, report.silent_ms) == (100, 0, 200)


def test_a_source_of_events_alone_is_ignored() -> None:
    """SIPp plays its DTMF from another source: no packet, no loss, no offset comes of it."""
    payloads = speech(100)
    events = [
        Datagram(i * 20 * MS, 0, rtp(7984 + i, 13_280, b"\1\x0a\0\xa0", payload_type=101, ssrc=77))
        for i in range(10)
    ]
    out, (report,) = play(call(4000), events + stream(payloads, start=SECOND))
    assert np.array_equal(out[0, 8000:24_000], heard(payloads))
    assert (report.packets, report.lost, report.offset_ms) == (100, 0, 1000)


def test_events_with_foreign_numbers_are_no_loss() -> None:
    """Events on the audio's SSRC with numbers of their own are not counted with the audio."""
    payloads = speech(100)
    sent = stream(payloads)
    events = [
        Datagram(d.at + 1, 0, rtp(50_000 + i, 9, b"\1\x0a\0\xa0", payload_type=101))
        for i, d in enumerate(sent[20:30])
    ]
    out, (report,) = play(call(3000), sent + events)
    assert np.array_equal(out[0, :16_000], heard(payloads))
    assert (report.packets, report.lost, report.duplicate) == (100, 0, 0)


def test_an_unknown_payload_type_moves_nothing() -> None:
    """A payload type that nobody offered is not heard."""
    payloads = speech(50)
    other = stream(speech(50, seed=2), ssrc=5, payload_type=3)
    out, (report,) = play(call(2000), stream(payloads) + other)
    assert np.array_equal(out[0, :8000], heard(payloads))
    assert report.packets == 50


def test_a_pause_is_silence_and_no_loss() -> None:
    """Headers alone were kept of a paused span: silence there on both channels, all in place."""
    one, other = speech(300, seed=1), speech(300, seed=2)
    pause = (2 * SECOND, 3500 * MS)
    sent = stream(one) + stream(other, leg=1, ssrc=9)
    sent = [without_payload(d) if pause[0] <= d.at < pause[1] else d for d in sent]
    out, reports = play(call(7000, legs=2, pauses=[pause]), sent)
    for row, payloads in enumerate((one, other)):
        expected = heard(payloads)
        expected[16_000:28_000] = 0
        assert np.array_equal(out[row, :48_000], expected)
    for report in reports:
        assert (report.packets, report.lost, report.silent_ms) == (300, 0, 0)
        assert report.paused_ms == 1500


def test_nothing_that_came_in_a_pause_is_heard() -> None:
    """Even where payload was kept, or lies outside by its timestamp, a pause hides what came in."""
    payloads = speech(300)
    pause = (2 * SECOND, 3500 * MS)
    sent = stream(payloads)
    leaked = [replace(d, at=2 * SECOND + 1) if i == 60 else d for i, d in enumerate(sent)]
    out, _ = play(call(7000, pauses=[pause]), leaked)
    expected = heard(payloads)
    expected[60 * 160 : 61 * 160] = 0
    expected[16_000:28_000] = 0
    assert np.array_equal(out[0, :48_000], expected)


def test_a_packet_across_the_edge_of_a_pause_is_cut_to_the_sample() -> None:
    """The pause begins and ends where its clock says, in the middle of packets."""
    payloads = speech(300)
    out, _ = play(call(7000, pauses=[(2005 * MS, 3011 * MS)]), stream(payloads))
    expected = heard(payloads)
    expected[16_040:24_088] = 0
    # The packet that began within the pause came within it, so its rest is not heard either.
    expected[24_088:24_160] = 0
    assert np.array_equal(out[0, :48_000], expected)

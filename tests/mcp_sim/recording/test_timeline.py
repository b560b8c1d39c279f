"""The timeline: what is sent is heard, at its place and nowhere else."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_sim.recording.timeline.timeline import HORIZON, Timeline

from .synthetic_call import (
    MS,
    SECOND,
    Datagram,
    batch,
    call,
    heard,
    play,
    rtp,
    speech,
    stream,
)


def test_contiguous_packets_come_out_sample_for_sample() -> None:
    """Ten seconds of one leg lie unshifted in one piece, silence before and behind."""
    payloads = speech(500)
    out, (report,) = play(call(12_000), stream(payloads, start=700 * MS))
    assert out.shape == (2, 96_000)
    assert np.array_equal(out[0, 5600:85_600], heard(payloads))
    assert not out[0, :5600].any()
    assert not out[0, 85_600:].any()
    assert not out[1].any()
    assert (report.packets, report.lost, report.late, report.duplicate) == (500, 0, 0, 0)
    assert (report.offset_ms, report.silent_ms, report.codec) == (700, 0, "pcma")


@pytest.mark.parametrize("batch_size", [1, 7, 100, 5000])
def test_the_cuts_between_batches_leave_no_trace(batch_size: int) -> None:
    """However the journal is read, the same sound comes out."""
    payloads = speech(3000)
    out, _ = play(call(61_000), stream(payloads), batch_size=batch_size)
    assert np.array_equal(out[0, :480_000], heard(payloads))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 116))
def test_bunched_packets_shift_nothing(seed: int, bunch: int) -> None:
    """Packets that come up to 116 ms late, as from a busy sender, lie where they were sent."""
    draw = random.Random(seed)
    payloads = speech(400)
    slow = [draw.randrange(bunch * MS) for _ in payloads]
    slow[draw.randrange(200)] = 0
    out, _ = play(call(9000), stream(payloads, start=SECOND // 2, delay=slow.__getitem__))
    assert np.array_equal(out[0, 4000:68_000], heard(payloads))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_the_legs_are_right_to_each_other(seed: int) -> None:
    """With jitter of 60 ms on both legs, the offset between them is right to 5 ms."""
    draw = random.Random(seed)
    one, other = speech(400, seed=1), speech(300, seed=2)
    sent = stream(one, leg=0, start=300 * MS, delay=lambda _: draw.randrange(60 * MS))
    sent += stream(other, leg=1, start=2345 * MS, ssrc=9, delay=lambda _: draw.randrange(60 * MS))
    _, (left, right) = play(call(9000, legs=2), sent)
    assert abs(right.offset_ms - left.offset_ms - 2045) <= 5


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_reordered_and_doubled_packets_change_nothing(seed: int, small_batches: bool) -> None:
    """Any order within the horizon, and any packet twice, gives the sound that was sent."""
    draw = random.Random(seed)
    payloads = speech(300)
    sent = stream(payloads, start=100 * MS)
    late = [Datagram(d.at + draw.randrange(900 * MS), d.leg, d.data) for d in sent[1:]]
    again = [Datagram(d.at + draw.randrange(900 * MS), d.leg, d.data) for d in sent[::7]]
    out, (report,) = play(
        call(8000), [sent[0], *late, *again], batch_size=11 if small_batches else 1000
    )
    assert np.array_equal(out[0, 800:48_800], heard(payloads))
    assert (report.packets, report.lost, report.duplicate) == (300, 0, len(again))


def test_lost_packets_are_silence_of_the_right_length() -> None:
    """What never came is counted as lost, and everything behind it stays in place."""
    payloads = speech(200)
    sent = stream(payloads)
    missing = {50, 51, 52, 120}
    out, (report,) = play(call(5000), [d for i, d in enumerate(sent) if i not in missing])
    expected = heard(payloads)
    for index in missing:
        expected[index * 160 : index * 160 + 160] = 0
    assert np.array_equal(out[0, :32_000], expected)
    assert (report.packets, report.lost, report.silent_ms) == (196, 4, 0)


def test_silence_suppression_is_no_loss() -> None:
    """A gap in the timestamps without one in the sequence is the sender's own silence."""
    before, behind = speech(50, seed=1), speech(50, seed=2)
    sent = stream(before) + stream(
        behind, start=4 * SECOND, sequence=7050, timestamp=123_456 + 32_000
    )
    out, (report,) = play(call(6000), sent)
    assert np.array_equal(out[0, :8000], heard(before))
    assert not out[0, 8000:32_000].any()
    assert np.array_equal(out[0, 32_000:40_000], heard(behind))
    assert (report.lost, report.silent_ms) == (0, 3000)


def test_loss_and_silence_together_are_told_apart() -> None:
    """Two packets lost at the edge of a suppressed second are two lost packets and a second."""
    before, behind = speech(50, seed=1), speech(50, seed=2)
    sent = stream(before) + stream(
        behind, start=2040 * MS, sequence=7052, timestamp=123_456 + 16_320
    )
    _, (report,) = play(call(6000), sent)
    assert (report.packets, report.lost, report.silent_ms) == (100, 2, 1000)


def test_what_comes_behind_the_horizon_is_late() -> None:
    """A packet whose place has been handed out is counted as late, not as lost."""
    payloads = speech(3000)
    sent = stream(payloads)
    horizon = (HORIZON // 8000 + 15) * SECOND
    sent[100] = Datagram(sent[100].at + horizon, 0, sent[100].data)
    out, (report,) = play(call(61_000), sent, batch_size=100)
    assert not out[0, 16_000:16_160].any()
    assert (report.packets, report.lost, report.late) == (3000, 0, 1)


def test_sequence_and_timestamp_may_wrap() -> None:
    """Both counters run over their ends without a trace."""
    payloads = speech(300)
    sent = stream(payloads, sequence=65_400, timestamp=2**32 - 10_000)
    out, (report,) = play(call(7000), sent)
    assert np.array_equal(out[0, :48_000], heard(payloads))
    assert (report.packets, report.lost) == (300, 0)


def test_packets_before_and_behind_the_call_are_clipped() -> None:
    """Sound from before t0 and from behind the end is cut off to the sample."""
    payloads = speech(300)
    out, (report,) = play(call(4000), stream(payloads, start=-1 * SECOND))
    assert out.shape == (2, 32_000)
    assert np.array_equal(out[0], heard(payloads)[8000:40_000])
    assert (report.offset_ms, report.late) == (0, 0)


def test_a_slow_first_packet_is_not_clipped() -> None:
    """What was sent behind t0 is there from its first sample, though others travelled faster."""
    one, other = speech(200, seed=1), speech(200, seed=2)
    sent = stream(one, start=-3 * MS, delay=lambda i: 4 * MS if i == 0 else 0)
    sent += stream(other, leg=1, ssrc=9, start=7 * MS)
    out, _ = play(call(5000, legs=2), sent)
    assert np.array_equal(out[0, :32_000], heard(one))
    assert np.array_equal(out[1, 80:32_080], heard(other))


def test_mixed_packet_sizes_are_placed_alike() -> None:
    """A sender may change from 20 ms to 10 and to 30 ms packets."""
    payloads = speech(50, 160) + speech(50, 80) + speech(50, 240)
    out, (report,) = play(call(4000), stream(payloads))
    assert np.array_equal(out[0, :24_000], heard(payloads))
    assert report.silent_ms == 0


def test_a_change_of_codec_is_followed() -> None:
    """PCMU in the middle of PCMA is decoded as what it is."""
    one, two = speech(50, seed=1), speech(50, seed=2)
    sent = stream(one) + stream(
        two, start=SECOND, sequence=7050, timestamp=123_456 + 8000, payload_type=0
    )
    out, (report,) = play(call(3000), sent)
    assert np.array_equal(out[0, :16_000], np.append(heard(one), heard(two, "pcmu")))
    assert (report.packets, report.lost) == (100, 0)


def test_one_party_leaves_the_other_channel_silent() -> None:
    """A plain call in stereo has its sound on the left only."""
    out, _ = play(call(1000), stream(speech(40)))
    assert out[0].any()
    assert not out[1].any()


def test_mono_is_the_mix_of_all_legs_cut_at_the_range() -> None:
    """Both parties are added; sums beyond 16 bits stay at the limit."""
    one, other = speech(40, seed=1), speech(40, seed=2)
    sent = stream(one) + stream(other, leg=1, ssrc=9)
    out, _ = play(call(1000, legs=2), sent, channels=1)
    total = heard(one).astype(np.int32) + heard(other)
    assert np.array_equal(out[0, :6400], np.clip(total, -32768, 32767))
    assert int(np.abs(total).max()) > 32_767


def test_legs_on_one_channel_are_mixed() -> None:
    """Two legs placed right are heard together there, the third alone on the left."""
    parts = [speech(40, seed=seed) for seed in range(3)]
    sent = [d for leg, part in enumerate(parts) for d in stream(part, leg=leg, ssrc=leg)]
    outline = call(1000, legs=3, channels=("right", "left", "right"))
    out, _ = play(outline, sent)
    total = heard(parts[0]).astype(np.int32) + heard(parts[2])
    assert np.array_equal(out[1, :6400], np.clip(total, -32768, 32767))
    assert np.array_equal(out[0, :6400], heard(parts[1]))


def test_a_call_without_packets_is_silence_of_its_length() -> None:
    """No leg, or a leg that never spoke: exactly the call's samples, all silent."""
    for legs in (0, 2):
        out, reports = play(call(12_345, legs=legs), [])
        assert out.shape == (2, 98_760)
        assert not out.any()
        assert [report.packets for report in reports] == [0] * legs


def _like_rtp(data: bytes) -> bytes:
    return b"\x80\x08" + data[2:]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(-2 * SECOND, 20 * SECOND),
            st.integers(0, 3),
            st.binary(max_size=40) | st.binary(min_size=12, max_size=40).map(_like_rtp),
            st.booleans(),
        ),
        max_size=40,
    )
)
def test_junk_never_changes_the_length(drawn: list[tuple[int, int, bytes, bool]]) -> None:
    """Whatever arrives, the call is as long as its clock says and nothing is raised."""
    datagrams = [Datagram(at, leg, data, only) for at, leg, data, only in drawn]
    out, _ = play(call(10_001, legs=2), datagrams, batch_size=7)
    assert out.shape == (2, 80_008)


def test_a_leg_that_nobody_opened_is_counted() -> None:
    """Packets of an unknown leg move nothing and are not forgotten."""
    timeline = Timeline(call(1000), channels=1)
    list(timeline.write(batch(stream(speech(3), leg=9))))
    assert timeline.strangers == 3


def test_a_flood_of_sources_is_bounded() -> None:
    """The first sources are heard; what comes from hundreds of others is ignored."""
    payloads = speech(50)
    flood = [Datagram(i * MS, 0, rtp(1, 1, b"\x01" * 160, ssrc=i)) for i in range(1000, 2000)]
    out, (report,) = play(call(2000), stream(payloads, start=-1 * MS) + flood)
    assert out.shape == (2, 16_000)
    assert report.packets == 50 + 63


def test_hours_without_a_packet_are_silence() -> None:
    """Speech, nine hours of nothing, speech again: each at its place, in small blocks."""
    hours = 9 * 3600
    one, two = speech(50, seed=1), speech(50, seed=2)
    sent = stream(one) + stream(
        two,
        start=hours * SECOND,
        sequence=7050,
        timestamp=123_456 + hours * 8000,
    )
    timeline = Timeline(call(hours * 1000 + 2000), channels=1)
    position, loud = 0, {}
    blocks = [*timeline.write(batch(sent)), *timeline.finish()]
    for block in blocks:
        assert block.shape[1] <= 80_000
        if block.any():
            loud[position] = block
        position += block.shape[1]
    assert position == (hours + 2) * 8000
    assert sorted(loud) == [0, hours * 8000]
    assert np.array_equal(loud[hours * 8000][0, :8000], heard(two))

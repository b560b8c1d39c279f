"""Impairments: what happens to the n-th packet is fixed by seed, call, leg and n alone."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_sim.rtp.impaired_packets import ImpairedPackets
from mcp_sim.rtp.impairment import Impairment, ImpairmentError
from mcp_sim.rtp.impairment.account import Account, account
from mcp_sim.rtp.impairment.departure import departures
from mcp_sim.rtp.impairment.fate import LegFate
from mcp_sim.rtp.packet_block import StreamFormat
from mcp_sim.rtp.packets import RtpPackets, parse_packets, unwrap

MS = 1_000_000
SECOND = 1_000_000_000
FRAME = 20 * MS

shares = st.sampled_from([0.0, 0.02, 0.3, 0.9])
impairments = st.builds(
    lambda pause, **fields: Impairment(talk=pause[0], silence=pause[1], **fields),
    pause=st.sampled_from([(0.0, 0.0), (1.0, 0.5), (0.02, 0.06), (0.7, 2.0)]),
    loss=shares,
    burst_loss=st.sampled_from([0.0, 0.01, 0.2]),
    burst_length=st.integers(1, 30),
    duplicate=shares,
    reorder=shares,
    reorder_by=st.integers(1, 12),
    jitter_ms=st.sampled_from([0.0, 1.0, 30.0, 333.0]),
    ssrc_change_at=st.none() | st.floats(0.02, 8),
    drift_ppm=st.sampled_from([0.0, 100.0, -100.0, 200.0]),
)


def fate(
    wrong: Impairment, *, seed: int = 1, identity: str = "CALL", leg: str = "agent"
) -> LegFate:
    return LegFate(wrong, seed, identity, leg)


def minute(wrong: Impairment, **names: int | str) -> Account:
    """What a minute of a leg's impairment does, 3,000 packets."""
    return account(fate(wrong, **names), 60 * SECOND - 1)  # type: ignore[arg-type]  # few names


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("loss = 1.5", "loss must be between 0 and 1, not 1.5"),
        ("loss = nan", "loss must be between 0 and 1, not nan"),
        ("burst_length = 0", "burst_length must be between 1 and 500, not 0"),
        ("reorder_by = 101", "reorder_by must be between 1 and 100"),
        ("jitter_ms = -1", "jitter_ms must be between 0 and 2000"),
        ("drift_ppm = 251", "drift_ppm must be between -200 and 200"),
        ("ssrc_change_at = 0", "ssrc_change_at must be between 0.02"),
        ("nat_rebinding_at = 90000", "nat_rebinding_at must be between"),
        ("talk = 1", "talk and silence are needed together"),
        ("talk = 0.001\nsilence = 1", "talk must be between"),
        ("one_way = true\nloss = 0.1", "one_way sends nothing"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(text: str, sentence: str) -> None:
    """A field that makes no sense is named, with what it may be."""
    with pytest.raises(ImpairmentError, match=sentence):
        msgspec.toml.decode(text, type=Impairment).check()


def test_toml_knows_the_fields_and_no_others() -> None:
    """All fields default to nothing; an unknown one is refused."""
    assert msgspec.toml.decode("", type=Impairment) == Impairment()
    Impairment().check()
    msgspec.toml.decode("loss = 0.02\nreorder_by = 3\none_way = false", type=Impairment).check()
    with pytest.raises(msgspec.ValidationError, match="lost"):
        msgspec.toml.decode("lost = 0.02", type=Impairment)


def test_nothing_is_done_by_default() -> None:
    """Every packet leaves once, in its order and at its time."""
    assert minute(Impairment()) == Account(cells=3000)
    left = departures(fate(Impairment()), 0, 3000)
    assert left.frame.tolist() == list(range(3000))
    assert left.left_ns.tolist() == [n * FRAME for n in range(3000)]


def test_the_seed_decides_to_the_packet() -> None:
    """These counts are fixed for good: the same seed has to give the same run, on any machine."""
    lossy = minute(Impairment(loss=0.02))
    assert (lossy.lost, lossy.lost_at_ends) == (51, 0)
    assert lossy.unsent[:3] == ((29, 1), (59, 1), (95, 1))
    assert minute(Impairment(burst_loss=0.005, burst_length=8)).bursts == 16
    assert minute(Impairment(duplicate=0.05)).duplicated == 157
    assert minute(Impairment(reorder=0.05, reorder_by=3)).reordered == 166
    assert minute(Impairment(jitter_ms=30)).reordered == 181


@pytest.mark.parametrize("other", [{"seed": 2}, {"identity": "CALM"}, {"leg": "customer"}])
def test_each_seed_call_and_leg_has_its_own_luck(other: dict[str, int | str]) -> None:
    """Another seed, another call or the other leg loses other packets, about as many."""
    wrong = Impairment(loss=0.1)
    one, another = minute(wrong), minute(wrong, **other)
    assert one.unsent != another.unsent
    assert 200 < another.lost < 400


def test_bursts_are_as_long_as_asked() -> None:
    """Every run of lost packets is a burst long, or several that overlap."""
    done = minute(Impairment(burst_loss=0.005, burst_length=8))
    lengths = [count for _, count in done.unsent]
    assert min(lengths) == 8
    assert sum(lengths) <= 8 * done.bursts
    assert done.lost == sum(lengths)


def test_talk_and_silence_take_turns() -> None:
    """Two seconds with packets, one without, and again; nothing of it is lost."""
    done = minute(Impairment(talk=2, silence=1))
    assert done.unsent == tuple((start, 50) for start in range(100, 3000, 150))
    assert (done.lost, done.lost_at_ends) == (0, 0)
    assert done.silent == 19 * 50


@pytest.mark.parametrize(("ppm", "cells"), [(100, 180_018), (-100, 179_982), (0, 180_000)])
def test_a_drifting_clock_makes_more_or_fewer_packets(ppm: int, cells: int) -> None:
    """In an hour 100 ppm are 18 packets."""
    leg = fate(Impairment(drift_ppm=ppm))
    assert leg.frames_by(3600 * SECOND - 1) == cells
    due = leg.due_ns(np.arange(cells))
    assert int(due[-1]) < 3600 * SECOND
    assert abs(np.diff(due) - FRAME / (1 + ppm / 1e6)).max() < 1


@settings(max_examples=60, deadline=None)
@given(impairments, st.integers(0, 2**63), st.integers(0, 400), st.integers(1, 300))
def test_the_order_of_asking_changes_nothing(
    wrong: Impairment, seed: int, first: int, count: int
) -> None:
    """A range of packets has the same fate, whichever range it is asked for in."""
    leg = fate(wrong, seed=seed)
    whole, part = leg.fates(0, first + count), leg.fates(first, count)
    for name in ("silent", "lost", "duplicate", "due_ns", "left_ns", "turn"):
        assert np.array_equal(getattr(whole, name)[first:], getattr(part, name))


@settings(max_examples=60, deadline=None)
@given(impairments, st.integers(0, 2**63), st.integers(1, 90))
def test_nothing_leaves_early_and_nothing_is_invented(
    wrong: Impairment, seed: int, block: int
) -> None:
    """Range by range every packet leaves as often as fate has it, in order of time, never early."""
    leg = fate(wrong, seed=seed)
    frames = 500
    fates = leg.fates(0, frames)
    ranges = [departures(leg, at, block) for at in range(0, frames + leg.farthest + block, block)]
    frame = np.concatenate([left.frame for left in ranges])
    left_ns = np.concatenate([left.left_ns for left in ranges])
    assert (np.diff(left_ns) >= 0).all()
    assert (left_ns >= leg.due_ns(frame)).all()
    mine = frame[frame < frames]
    assert np.array_equal(np.bincount(mine, minlength=frames), fates.sent * (1 + fates.duplicate))


@settings(max_examples=60, deadline=None)
@given(impairments, st.integers(0, 2**63), st.integers(0, 9000))
def test_the_account_is_what_a_receiver_sees(wrong: Impairment, seed: int, stop_ms: int) -> None:
    """Loss, copies, silence and new sources, counted from the packets alone, are the account's."""
    leg = fate(wrong, seed=seed)
    stream = ImpairedPackets(
        np.zeros((2000, 4), np.uint8), StreamFormat(0, ssrc=5, first_sequence=65_500), leg
    )
    sent = [bytes(p) for now in range(0, stop_ms + 1, 4) for p in stream.leaving(now * MS)]
    done = stream.account(0)
    packets = parsed(sent)
    assert len(packets) == done.cells - sum(count for _, count in done.unsent) + done.duplicated
    lost = copies = 0
    for ssrc in set(packets.ssrc.tolist()):
        numbers = unwrap(packets.sequence[packets.ssrc == ssrc], 16)
        lost += int(numbers.max() - numbers.min()) + 1 - len(set(numbers.tolist()))
        copies += len(numbers) - len(set(numbers.tolist()))
    assert (lost, copies) == (done.lost, done.duplicated)
    left_out = sum(count for _, count in done.unsent)
    silent = int(leg.fates(0, done.cells).silent.sum())
    assert done.lost + done.lost_at_ends == left_out - silent
    change = done.ssrc_changes[0] if done.ssrc_changes else None
    assert len(set(packets.ssrc.tolist())) <= 1 + len(done.ssrc_changes)
    assert change is None or change == leg.change_frame


def parsed(datagrams: list[bytes]) -> RtpPackets:
    length = np.array([len(d) for d in datagrams], np.int64)
    return parse_packets(b"".join(datagrams), np.cumsum(length) - length, length)


def packets_of(wrong: Impairment, seconds: float) -> RtpPackets:
    """The headers of what a leg sends in some seconds."""
    form = StreamFormat(8, ssrc=5, first_sequence=65_530, first_timestamp=2**32 - 1000)
    stream = ImpairedPackets(np.zeros((5000, 4), np.uint8), form, fate(wrong))
    return parsed([bytes(packet) for packet in stream.leaving(round(seconds * SECOND) - 1)])


def test_silence_leaves_out_no_number_and_marks_the_talk() -> None:
    """Numbers go on as if nothing were between, time goes on, a spurt begins with the marker."""
    packets = packets_of(Impairment(talk=0.2, silence=0.3), 1.5)
    assert (np.diff(unwrap(packets.sequence, 16)) == 1).all()
    assert np.flatnonzero(packets.marker).tolist() == [0, 10, 20]
    steps = np.diff(unwrap(packets.timestamp, 32))
    assert set(steps.tolist()) == {160, 16 * 160}
    assert steps[9] == 16 * 160


def test_another_source_has_other_numbers() -> None:
    """SSRC, sequence and timestamp begin anew, with a marker, and count on from there."""
    packets = packets_of(Impairment(ssrc_change_at=1), 3)
    ssrcs = packets.ssrc
    assert ssrcs.tolist() == [5] * 50 + [int(ssrcs[50])] * 100
    assert ssrcs[50] != 5
    assert np.flatnonzero(packets.marker).tolist() == [0, 50]
    for numbers, step, bits in ((packets.sequence, 1, 16), (packets.timestamp, 160, 32)):
        assert (np.diff(unwrap(numbers[50:], bits)) == step).all()
        assert abs(int(numbers[50]) - int(numbers[49])) != step


def test_a_stream_ends_with_its_frames() -> None:
    """What is held back behind the last frame still leaves, and then the stream is over."""
    wrong = Impairment(reorder=1, reorder_by=4)
    stream = ImpairedPackets(np.zeros((7, 4), np.uint8), StreamFormat(0), fate(wrong))
    counts, ended = [], []
    for elapsed in (6 * FRAME, 60 * SECOND):
        counts.append(len(list(stream.leaving(elapsed))))
        ended.append(stream.ended)
    assert counts == [3, 4]
    assert ended == [False, True]
    assert stream.account(0).cells == 7

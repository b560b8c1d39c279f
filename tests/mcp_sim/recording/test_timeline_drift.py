"""A sender's clock that drifts: each leg stays in time with the call, and nobody hears how."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from mcp_sim.recording.journal.frames import PacketBatch
from mcp_sim.recording.timeline.clock_drift import Correction
from mcp_sim.recording.timeline.codec import decode
from mcp_sim.recording.timeline.source_clock import AudioPackets, PlacedPackets, SourceClock
from mcp_sim.recording.timeline.timeline import Timeline

from .synthetic_call import MS, T0, call, heard, play, speech, stream

Int64s = npt.NDArray[np.int64]

HOUR = 3600
_PATTERNS = 4096
_MARGIN = 400
"""Samples around its place in which a packet is looked for: 50 ms."""


def drifting(
    ppm: float, seconds: float, *, jitter_ms: float = 0.0, silences: tuple[float, float] = (0, 0)
) -> tuple[Int64s, npt.NDArray[np.float64], Int64s]:
    """Return packets' numbers, when their sound was made and when they came, both in samples.

    `silences` is how many seconds are spoken and how many are not, in turns; 0: no silence.
    """
    draw = np.random.default_rng(5)
    number = np.arange(int(seconds * 50 * (1 + ppm / 1e6)))
    made = number * 160 / (1 + ppm / 1e6)
    if silences[1]:
        talking = made / 8000 % sum(silences) < silences[0]
        number, made = number[talking], made[talking]
    came = np.round(made + draw.uniform(0, jitter_ms * 8, len(made))).astype(np.int64)
    order = np.argsort(came, kind="stable")
    return number[order], made[order], came[order]


def place(
    number: Int64s, came: Int64s, *, batch: int = 50, wild: int | None = None
) -> list[PlacedPackets]:
    """Give packets to a clock as the timeline does; return where they lie.

    The packet `wild` has a timestamp of its own.
    """
    clock, placed = SourceClock(), []
    timestamp = number * 160 + 7777
    if wild is not None:
        timestamp[wild] += 2**30
    for begin in range(0, len(number), batch):
        part = slice(begin, begin + batch)
        size = len(number[part])
        placed += clock.settle(int(came[begin]))
        placed += clock.take(
            AudioPackets(
                came[part],
                number[part],
                timestamp[part],
                np.full(size, 160, np.int64),
                np.zeros(size, np.int64),
                np.zeros(size, np.int64),
                np.zeros(1, np.uint8),
            )
        )
    return placed + clock.settle(10**12, final=True)


def in_order(placed: list[PlacedPackets]) -> tuple[Int64s, Int64s, Int64s]:
    """Return number, position and length of all packets, by number."""
    number = np.concatenate([p.packets.number for p in placed])
    order = np.argsort(number)
    position = np.concatenate([p.position for p in placed])
    length = np.concatenate([p.length for p in placed])
    return number[order], position[order], length[order]


@pytest.mark.parametrize("ppm", [0, 100, -100, 250, -250])
@pytest.mark.parametrize("jitter_ms", [1, 30, 60])
def test_an_hour_stays_within_twenty_milliseconds(ppm: float, jitter_ms: float) -> None:
    """Uncorrected, 100 ppm would be 360 ms: the sound stays where it was made, without a seam."""
    number, made, came = drifting(ppm, HOUR, jitter_ms=jitter_ms)
    found, position, length = in_order(place(number, came))
    assert np.array_equal(found, np.arange(len(number)))
    off = (position - made[np.argsort(number)]) / 8
    assert abs(off).max() < 15
    assert (position[1:] == (position + length)[:-1]).all()
    assert abs(length - 160).max() <= 1
    if ppm == 0:
        assert set(np.diff(position).tolist()) == {160}


@pytest.mark.parametrize("ppm", [100, -100])
def test_who_begins_to_speak_keeps_every_packet_whole(ppm: float) -> None:
    """What is corrected in a silence neither cuts nor stretches the first packets behind it, also
    where these have overtaken each other.
    """
    number, made, came = drifting(ppm, 600, jitter_ms=60, silences=(2, 2))
    assert (np.diff(number) < 0).any()
    _, position, length = in_order(place(number, came))
    assert set(length.tolist()) == {160}
    assert abs((position - np.sort(made)) / 8).max() < 20


@pytest.mark.parametrize("ppm", [100, -100])
@pytest.mark.parametrize("silences", [(2, 2), (0.5, 7), (30, 200)])
def test_silences_do_not_hide_the_drift(ppm: float, silences: tuple[float, float]) -> None:
    """Suppressed silence, short or long: whoever speaks again speaks in time."""
    number, made, came = drifting(ppm, HOUR, jitter_ms=20, silences=silences)
    found, position, length = in_order(place(number, came))
    assert len(found) == len(number)
    if sum(silences) < 10:
        # Where there is a silence in every ten seconds, all is corrected in them.
        assert set(length.tolist()) == {160}
    assert abs((position - np.sort(made)) / 8).max() < 20


def test_a_long_silence_is_where_the_anchor_moves() -> None:
    """Behind ten minutes on hold a clock that is 60 ms off is right from the first packet on."""
    number, made, came = drifting(100, 20 * 60, silences=(60, 540))
    late = number >= 50 * 300
    _, position, length = in_order(place(number, came))
    assert abs((position - made)[late][:200]).max() < 8
    assert set(length[late][:200].tolist()) == {160}


@pytest.mark.parametrize("batch", [1, 7, 333, 10_000])
def test_the_cuts_between_batches_change_no_place(batch: int) -> None:
    """However the journal is read, a drifting source lies in the same places."""
    number, _, came = drifting(-200, 90, jitter_ms=10)
    expected = in_order(place(number, came))
    for one, other in zip(in_order(place(number, came, batch=batch)), expected, strict=True):
        assert np.array_equal(one, other)


def test_jitter_alone_corrects_nothing() -> None:
    """Ten minutes with 60 ms of jitter come out sample for sample."""
    draw = random.Random(3)
    payloads = speech(30_000)
    sent = stream(payloads, delay=lambda i: draw.randrange(60 * MS) if i else 0)
    out, (report,) = play(call(601_000), sent)
    assert np.array_equal(out[0, : 600 * 8000], heard(payloads))
    assert "correctedMs" not in report.other


def test_congestion_passes_without_a_trace() -> None:
    """A delay of 50 ms that lasts ten seconds is no drift."""
    number, _, came = drifting(0, 120)
    came = came + np.where((came > 40 * 8000) & (came < 50 * 8000), 400, 0)
    _, position, length = in_order(place(number, came))
    assert set(np.diff(position).tolist()) == {160}
    assert set(length.tolist()) == {160}


def test_a_silence_takes_all_steps_at_once() -> None:
    """What is planned and not reached is done where nobody hears it, and waits for that."""
    correction = Correction()
    correction.rest(newest=0, following=8000)
    correction.aim(-20, newest=16_000)
    stamps = np.arange(0, 40 * 8000, 160)
    assert not correction.at(stamps[stamps < 90_000]).any()
    planned = correction.total
    correction.rest(newest=32_000, following=48_000)
    at = correction.at(stamps)
    assert set(at[stamps <= 32_000 + 480].tolist()) == {0}
    assert set(at[stamps >= 48_000 - 480].tolist()) == {planned}  # those that are overtaken, too
    assert planned < -10


def test_a_correction_reaches_late_packets_alike() -> None:
    """Where a packet belongs does not depend on when it came: the steps lie ahead of all."""
    correction = Correction()
    stamps = np.arange(0, 60 * 8000, 160)
    correction.aim(-20, newest=0)
    before = correction.at(stamps)
    correction.aim(-35, newest=8000)
    again = correction.at(stamps)
    reached = stamps <= 2 * 8000
    assert np.array_equal(before[reached], again[reached])
    assert set(np.diff(again).tolist()) == {0, -1}
    assert correction.total >= -35


def _talk(ppm: float, payloads: npt.NDArray[np.uint8]) -> Iterator[PacketBatch]:
    """An hour of two legs, the first of which drifts; a batch holds 20 seconds."""
    for begin in range(0, HOUR * 50, 1000):
        frame = np.repeat(np.arange(begin, begin + 1000), 2)
        packets = np.zeros((2000, 172), np.uint8)
        packets[:, :2] = 0x80, 8
        packets[:, 2:4] = frame.astype(">u2").view(np.uint8).reshape(-1, 2)
        packets[:, 4:8] = (frame * 160).astype(">u4").view(np.uint8).reshape(-1, 4)
        packets[:, 11] = legs = np.tile(np.array([0, 1], np.uint8), 1000)
        packets[:, 12:] = payloads[frame % _PATTERNS]
        at = frame * 20.0 * MS / np.where(legs == 0, 1 + ppm / 1e6, 1)
        order = np.argsort(at, kind="stable")
        yield PacketBatch(
            T0 + at[order].astype(np.int64),
            legs[order],
            np.arange(2000, dtype=np.int64) * 172,
            np.full(2000, 172, np.int64),
            np.zeros(2000, np.bool_),
            packets[order].tobytes(),
        )


@pytest.mark.parametrize("ppm", [100, -100])
def test_an_hour_is_heard_in_time(ppm: float) -> None:
    """From the packets to the sound: each leg's packets are found where they were made."""
    payloads = np.random.default_rng(1).integers(0, 100, (_PATTERNS, 160), dtype=np.uint8)
    timeline = Timeline(call((HOUR + 1) * 1000, legs=2), channels=2)
    blocks = [block for batch in _talk(ppm, payloads) for block in timeline.write(batch)]
    sound = np.concatenate([*blocks, *timeline.finish()], axis=1)
    for row, rate in ((0, 1 + ppm / 1e6), (1, 1.0)):
        for frame in range(1000, HOUR * 50, 7919):
            wanted = decode("pcma", payloads[frame % _PATTERNS])[:159]
            made = round(frame * 160 / rate)
            around = sound[row, made - _MARGIN : made + _MARGIN + 159]
            windows = np.lib.stride_tricks.sliding_window_view(around, 159)
            (found,) = np.flatnonzero((windows == wanted).all(axis=1))
            assert abs(int(found) - _MARGIN) / 8 < 10
        assert sound[row, 1000 : (HOUR - 1) * 8000].all(), "no sample between packets is empty"
    drifted, steady = timeline.reports()
    assert (drifted.packets, drifted.lost, drifted.late) == (HOUR * 50, 0, 0)
    assert drifted.silent_ms == 0
    assert float(str(drifted.other["correctedMs"])) == pytest.approx(-0.36 * ppm * 10, abs=10)
    assert steady.other == {}


def test_a_source_that_parts_and_returns_keeps_its_correction() -> None:
    """One wild timestamp in a drifting leg does not bring the old anchor back."""
    number, made, came = drifting(250, 300)
    _, position, _ = in_order(place(number, came, wild=10_000))
    off = np.delete(position - made, 10_000) / 8
    assert abs(off).max() < 15


def test_two_legs_drift_apart_and_stay_together() -> None:
    """Four minutes, one clock 250 ppm fast and one slow: both end where the call ends, to 10 ms."""
    seconds = 240
    fast = stream(speech(round(seconds * 50 * 1.00025), seed=1))
    fast = [type(d)(round(d.at / 1.00025), 0, d.data) for d in fast]
    slow = stream(speech(round(seconds * 50 * 0.99975), seed=2), leg=1, ssrc=9)
    slow = [type(d)(round(d.at / 0.99975), 1, d.data) for d in slow]
    out, _ = play(call(seconds * 1000 + 500, legs=2), [*fast, *slow])
    for row in out:
        end = int(np.flatnonzero(row)[-1])
        assert abs(end - seconds * 8000) / 8 < 10

"""Journals whose end is torn, in every way that a kill or a power loss tears: recovered, marked."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mcp_sim.recording.journal.frames import HEADER_SIZE, MARKER, PREAMBLE_LIMIT, decode_preamble
from mcp_sim.recording.keyring import SpoolKeyring
from mcp_sim.recording.plan import Ended
from mcp_sim.recording.render.messages import RenderSettings
from mcp_sim.recording.render.render import EmptyRecordingError, RenderError, render
from mcp_sim.recording.spool.folders import JOURNAL
from mcp_sim.recording.spool.spool import Spool, State

from .recorded_call import course, make_plan, open_recording, write_journal
from .synthetic_call import heard, speech, stream

PACKETS = 12
SOUND = speech(PACKETS)
FRAMES_CUT = 2
STRIDE = 11

Tail = Callable[[bytes, int], bytes]
TAILS: dict[str, Tail] = {
    "cut": lambda journal, at: journal[:at],
    "zeros": lambda journal, at: journal[:at] + bytes(len(journal) - at),
    "longer zeros": lambda journal, at: journal[:at] + bytes(len(journal) - at + 8192),
    "garbage": lambda journal, at: journal[:at] + bytes((7 * n + 3) % 256 for n in range(5000)),
    "markers": lambda journal, at: journal[:at] + MARKER * 1000,
}


class Torn:
    """A journal without an end, one packet to a frame, that is torn again and again."""

    def __init__(self, spool: Spool, keyring: SpoolKeyring) -> None:
        self.spool, self.keyring = spool, keyring
        folder = spool.create("whole")
        events = [event for event in course(240) if not isinstance(event, Ended)]
        write_journal(folder / JOURNAL, make_plan(), keyring, events, stream(SOUND), per_frame=1)
        self.journal = (folder / JOURNAL).read_bytes()
        spool.discard("whole")
        self.ends = self._frame_ends()
        self._count = 0

    def _frame_ends(self) -> list[int]:
        _, at = decode_preamble(self.journal[:PREAMBLE_LIMIT])
        ends = []
        while at < len(self.journal):
            at += HEADER_SIZE + int.from_bytes(self.journal[at + 8 : at + 12], "little")
            ends.append(at)
        return ends

    def render(self, journal: bytes) -> tuple[int, bool]:
        """Render it; return how many packets are heard from the start, and whether it is marked."""
        self._count += 1
        item = f"item-{self._count}"
        (self.spool.create(item) / JOURNAL).write_bytes(journal)
        self.spool.advance(item, State.RENDERING)
        render(self.spool, item, self.keyring, RenderSettings())
        media, wav = open_recording(self.spool, item)
        sound = np.frombuffer(wav[44:], "<i2").reshape(-1, 2)[:, 0]
        count = next(
            n for n in range(PACKETS, -1, -1) if np.array_equal(sound[: 160 * n], heard(SOUND[:n]))
        )
        assert media.lab is not None
        return count, media.lab.recovered


@pytest.fixture
def torn(spool: Spool, keyring: SpoolKeyring) -> Torn:
    """A journal to be torn."""
    return Torn(spool, keyring)


@pytest.mark.parametrize("tail", TAILS)
def test_every_tail_is_recovered(torn: Torn, tail: str) -> None:
    """All packets up to the tear are heard, none is made up, and the recording says what it is."""
    last = torn.ends[-1 - FRAMES_CUT]
    for at in [*range(last, len(torn.journal), STRIDE), len(torn.journal) - 1]:
        left = TAILS[tail](torn.journal, at)
        # By chance (1 in 256) the tail is the one byte that was cut off: then nothing is torn.
        whole = PACKETS - sum(left[:end] != torn.journal[:end] for end in torn.ends)
        assert torn.render(left) == (whole, True)


def test_a_hole_in_the_middle_costs_what_was_in_it(torn: Torn) -> None:
    """Blocks that never reached the disk, before others that did: the rest is heard."""
    start, end = torn.ends[-4], torn.ends[-3]
    count, marked = torn.render(torn.journal[:start] + bytes(end - start) + torn.journal[end:])
    assert (count, marked) == (PACKETS - 3, True)


@pytest.mark.parametrize("length", [0, 4, 100, 20_000])
def test_a_journal_of_zeros_is_kept_for_a_person(torn: Torn, length: int) -> None:
    """A power loss may leave the size without the bytes. Without any, there is nothing to keep."""
    item = "zeros"
    (torn.spool.create(item) / JOURNAL).write_bytes(bytes(length))
    torn.spool.advance(item, State.RENDERING)
    expected = RenderError if length else EmptyRecordingError
    with pytest.raises(expected):
        render(torn.spool, item, torn.keyring, RenderSettings())
    assert (torn.spool.folder(item, State.RENDERING) / JOURNAL).exists()


def test_a_recovered_recording_is_recovered_again(torn: Torn) -> None:
    """A recovery that was killed itself begins anew: same sound, same mark, whatever it left."""
    item = "again"
    folder = torn.spool.create(item)
    (folder / JOURNAL).write_bytes(torn.journal[: torn.ends[-3]])
    for left in ("media.bin.part", "media.bin", "item.json.part", "item.json"):
        assert torn.spool.recover() in ([item], [])
        folder = torn.spool.advance(item, State.RENDERING)
        (folder / left).write_bytes(b"half of it")
    assert torn.spool.recover() == [item]
    render(torn.spool, item, torn.keyring, RenderSettings())
    media, wav = open_recording(torn.spool, item)
    sound = np.frombuffer(wav[44:], "<i2").reshape(-1, 2)[:, 0]
    assert np.array_equal(sound[: 160 * (PACKETS - 2)], heard(SOUND[: PACKETS - 2]))
    assert media.lab is not None
    assert media.lab.recovered

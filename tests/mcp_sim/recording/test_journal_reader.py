"""Reading journals: whole ones, torn ones, damaged ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_sim.recording.journal.frames import (
    HEADER_SIZE,
    EmptyJournalError,
    FrameKind,
    JournalError,
    encode_packets,
    parse_header,
)
from mcp_sim.recording.journal.reader import JournalReader
from mcp_sim.recording.keyring import KeyringError, SpoolKeyring
from tests.mcp_sim.recording.journals import (
    EVENTS,
    RECIPIENTS,
    Workshop,
    a_plan,
    columns,
    no_more_files,
    some_packets,
)

Packets = list[tuple[int, int, bytes]]


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def read_packets(journal: JournalReader, batch: int = 4096) -> Packets:
    return [
        (int(b.arrival_ns[i]), int(b.leg[i]), b.packet(i))
        for b in journal.packets(batch)
        for i in range(len(b))
    ]


def frame_spans(workshop: Workshop) -> list[tuple[int, int, FrameKind]]:
    """Return where each frame of a whole journal lies."""
    data = workshop.path.read_bytes()
    at = 12 + int.from_bytes(data[8:12], "little")
    spans = []
    while at < len(data):
        header = parse_header(data[at : at + HEADER_SIZE])
        assert header is not None
        end = at + HEADER_SIZE + header.size
        spans.append((at, end, header.kind))
        at = end
    return spans


def test_whole_journal_gives_everything_back(workshop: Workshop) -> None:
    """Plan, events, key, recipients and packets are as written; nothing is torn or damaged."""
    packets = workshop.write()
    with JournalReader.open(workshop.path, workshop.keyring) as journal:
        assert journal.plan == a_plan()
        assert journal.events == EVENTS
        assert journal.session_key == workshop.key
        assert journal.recipients == RECIPIENTS
        assert read_packets(journal) == packets
        assert read_packets(journal) == packets
        assert (journal.torn, journal.damage) == (False, [])
        assert journal.size == workshop.path.stat().st_size


def test_batches_are_as_large_as_asked_and_keep_the_order(workshop: Workshop) -> None:
    """Small frames are joined to batches; joining moves no packet."""
    packets = workshop.write(frames=10, per_frame=3)
    with JournalReader.open(workshop.path, workshop.keyring) as journal:
        assert [len(batch) for batch in journal.packets(7)] == [9, 9, 9, 3]
        assert [len(batch) for batch in journal.packets(1)] == [3] * 10
        assert read_packets(journal, 7) == packets


def test_every_cut_ends_at_the_last_whole_frame(workshop: Workshop) -> None:
    """Wherever the writer was killed: what was whole is there, no more, and the cut is told."""
    packets = workshop.write(frames=3)
    data = workshop.path.read_bytes()
    spans = frame_spans(workshop)
    plan_end = spans[0][1]
    for size in range(plan_end, len(data)):
        workshop.path.write_bytes(data[:size])
        whole = [span for span in spans if span[1] <= size]
        with JournalReader.open(workshop.path, workshop.keyring) as journal:
            assert journal.size == whole[-1][1]
            assert journal.torn == (whole[-1][1] < size)
            frames = sum(kind is FrameKind.PACKETS for _, _, kind in whole)
            assert read_packets(journal) == packets[: 3 * frames]
            events = sum(kind is FrameKind.EVENT for _, _, kind in whole)
            assert journal.events == EVENTS[:events]
            assert journal.damage == []


def test_journal_without_a_plan_is_empty(workshop: Workshop) -> None:
    """Killed before the plan was whole: an empty journal, for which no call was answered."""
    workshop.write()
    data = workshop.path.read_bytes()
    plan_end = frame_spans(workshop)[0][1]
    for size in (0, 5, 11, 50, plan_end - 30, plan_end - 1):
        workshop.path.write_bytes(data[:size])
        with pytest.raises(EmptyJournalError, match=f"{workshop.path}: "):
            JournalReader.open(workshop.path, workshop.keyring)


@pytest.mark.parametrize("where", ["content", "header", "length", "counter"])
def test_damage_in_the_middle_is_stepped_over_and_told(workshop: Workshop, where: str) -> None:
    """One broken frame costs that frame: the packets behind it are read, the place is listed."""
    packets = workshop.write(frames=5)
    spans = [span for span in frame_spans(workshop) if span[2] is FrameKind.PACKETS]
    start, end, _ = spans[2]
    place = {"content": start + HEADER_SIZE + 9, "header": start, "length": start + 9}
    data = bytearray(workshop.path.read_bytes())
    data[place.get(where, start + 12)] ^= 0x40
    workshop.path.write_bytes(data)
    with JournalReader.open(workshop.path, workshop.keyring) as journal:
        assert read_packets(journal) == packets[:6] + packets[9:]
        assert read_packets(journal) == packets[:6] + packets[9:]
        assert [(d.start, d.end, d.frames) for d in journal.damage] == [(start, end, 1)]
        assert journal.events == EVENTS
        assert not journal.torn


def test_damaged_event_is_told_and_the_others_are_read(workshop: Workshop) -> None:
    """A broken event is listed as damage; plan, other events and packets are there."""
    packets = workshop.write()
    start, end, _ = frame_spans(workshop)[2]
    data = bytearray(workshop.path.read_bytes())
    data[end - 1] ^= 1
    workshop.path.write_bytes(data)
    with JournalReader.open(workshop.path, workshop.keyring) as journal:
        assert journal.events == (EVENTS[0], *EVENTS[2:])
        assert [(d.start, d.end) for d in journal.damage] == [(start, end)]
        assert read_packets(journal) == packets


def test_damaged_plan_is_no_empty_journal(workshop: Workshop) -> None:
    """A journal with packets whose plan is broken is an error to be looked at, not thrown away."""
    workshop.write()
    data = bytearray(workshop.path.read_bytes())
    data[frame_spans(workshop)[0][1] - 1] ^= 1
    workshop.path.write_bytes(data)
    with pytest.raises(JournalError, match="its plan is damaged") as caught:
        JournalReader.open(workshop.path, workshop.keyring)
    assert not isinstance(caught.value, EmptyJournalError)


def test_zeros_behind_a_power_loss_are_a_torn_tail(workshop: Workshop) -> None:
    """A file whose last blocks never reached the disk ends at its last authentic frame."""
    packets = workshop.write(frames=5)
    spans = [span for span in frame_spans(workshop) if span[2] is FrameKind.PACKETS]
    data = bytearray(workshop.path.read_bytes())
    for start, end, _ in spans[3:]:
        data[start + HEADER_SIZE : end] = bytes(end - start - HEADER_SIZE)
    del data[spans[4][1] :]
    workshop.path.write_bytes(bytes(data) + bytes(5000))
    with JournalReader.open(workshop.path, workshop.keyring) as journal:
        assert journal.torn
        assert journal.damage == []
        assert journal.size == spans[2][1]
        assert read_packets(journal) == packets[:9]


def test_removed_and_repeated_frames_are_noticed(workshop: Workshop) -> None:
    """A frame that was cut out, or is there twice, shows up as damage; nothing is heard twice."""
    packets = workshop.write(frames=5)
    spans = [span for span in frame_spans(workshop) if span[2] is FrameKind.PACKETS]
    data = workshop.path.read_bytes()
    start, end, _ = spans[1]
    workshop.path.write_bytes(data[:start] + data[end:])
    with JournalReader.open(workshop.path, workshop.keyring) as journal:
        assert read_packets(journal) == packets[:3] + packets[6:]
        assert [damage.frames for damage in journal.damage] == [1]
    workshop.path.write_bytes(data[:end] + data[start:end] + data[end:])
    with JournalReader.open(workshop.path, workshop.keyring) as journal:
        assert read_packets(journal) == packets
        assert [(d.start, d.frames) for d in journal.damage] == [(end, 0)]


def test_marker_inside_of_damage_misleads_nobody(workshop: Workshop) -> None:
    """Bytes that look like a frame's header are believed only when the frame is authentic."""
    packets = workshop.write(frames=5)
    spans = [span for span in frame_spans(workshop) if span[2] is FrameKind.PACKETS]
    data = bytearray(workshop.path.read_bytes())
    start = spans[1][0]
    data[start] ^= 1
    false_header = bytes(data[spans[2][0] : spans[2][0] + HEADER_SIZE])
    data[start + 30 : start + 30 + HEADER_SIZE] = false_header
    workshop.path.write_bytes(data)
    with JournalReader.open(workshop.path, workshop.keyring) as journal:
        assert read_packets(journal) == packets[:3] + packets[6:]


def test_other_keyring_cannot_read(workshop: Workshop) -> None:
    """Without the spool key there is no recording, and the error says which key is missing."""
    workshop.write()
    with pytest.raises(KeyringError, match=f"'{workshop.keyring.current}' is not in the keyring"):
        JournalReader.open(workshop.path, SpoolKeyring.generate())


def test_missing_journal_is_told(tmp_path: Path) -> None:
    """A journal that is not there is one sentence with its path."""
    with pytest.raises(JournalError, match="nowhere: cannot be opened"):
        JournalReader.open(tmp_path / "nowhere", SpoolKeyring.generate())


def test_too_many_open_files_are_no_fault_of_a_journal(workshop: Workshop) -> None:
    """The error is the system's own, which says that trying later may help; later it is read."""
    packets = workshop.write()
    with no_more_files(), pytest.raises(OSError, match="Too many open files"):
        JournalReader.open(workshop.path, workshop.keyring)
    with JournalReader.open(workshop.path, workshop.keyring) as journal:
        assert read_packets(journal) == packets


def test_large_journal_is_read_in_small_pieces(workshop: Workshop) -> None:
    """A batch holds little more than it was asked for, however long the call."""
    writer = workshop.writer()
    writer.append_plan(a_plan())
    for index in range(300):
        writer.append_packets(encode_packets([columns(some_packets(20, first=20 * index))]))
    writer.close()
    with JournalReader.open(workshop.path, workshop.keyring) as journal:
        sizes = [len(batch) for batch in journal.packets(100)]
    assert sum(sizes) == 6000
    assert max(sizes) < 120

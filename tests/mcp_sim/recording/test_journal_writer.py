"""Writing journals: whole frames, for their owner only, and a disk that refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_sim.recording.journal.frames import JournalError, encode_packets
from mcp_sim.recording.journal.reader import JournalReader
from tests.mcp_sim.recording.journals import Workshop, a_plan, columns, largest_file, some_packets


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def test_journal_is_readable_by_its_owner_only(workshop: Workshop) -> None:
    """The file's mode is 0600."""
    workshop.write()
    assert workshop.path.stat().st_mode & 0o777 == 0o600


def test_existing_journal_is_never_opened_for_writing(workshop: Workshop) -> None:
    """A recovered journal cannot be appended to: the file must be new."""
    workshop.write()
    before = workshop.path.read_bytes()
    with pytest.raises(JournalError, match=f"{workshop.path}: cannot be created"):
        workshop.writer()
    assert workshop.path.read_bytes() == before


def test_each_frame_is_readable_at_once(workshop: Workshop) -> None:
    """What `append` has returned for is in the file, while the writer is still open."""
    writer = workshop.writer()
    writer.append_plan(a_plan())
    writer.append_packets(encode_packets([columns(some_packets(3))]))
    with JournalReader.open(workshop.path, workshop.keyring) as journal:
        assert sum(len(batch) for batch in journal.packets()) == 3
        assert not journal.torn
    writer.sync()
    writer.close()


def test_refused_frames_are_kept_and_written_later(workshop: Workshop) -> None:
    """While the disk is full the file holds whole frames only; later everything is there, once."""
    writer = workshop.writer()
    writer.append_plan(a_plan())
    full = workshop.path.stat().st_size + 60
    with largest_file(full):
        for index in range(3):
            with pytest.raises(JournalError, match=f"{workshop.path}: cannot be written"):
                writer.append_packets(encode_packets([columns(some_packets(4, first=4 * index))]))
        with pytest.raises(JournalError):
            writer.retry()
        with JournalReader.open(workshop.path, workshop.keyring) as journal:
            assert not journal.torn
            assert not list(journal.packets())
        pending = writer.pending_bytes
    assert pending > 0
    writer.retry()
    assert writer.pending_bytes == 0
    writer.close()
    with JournalReader.open(workshop.path, workshop.keyring) as journal:
        data = [batch.packet(i) for batch in journal.packets() for i in range(len(batch))]
        assert data == [packet for _, _, packet in some_packets(12)]
        assert not journal.damage
        assert not journal.torn


def test_nothing_is_left_when_not_even_the_preamble_fits(workshop: Workshop) -> None:
    """A journal that cannot be begun leaves no file behind."""
    with largest_file(10), pytest.raises(JournalError, match="cannot be written"):
        workshop.writer()
    assert not workshop.path.exists()


def test_missing_folder_is_told(tmp_path: Path) -> None:
    """A folder that is not there is one sentence with the path."""
    with pytest.raises(JournalError, match="cannot be created"):
        Workshop(tmp_path / "nowhere").writer()

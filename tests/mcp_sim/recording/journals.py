"""Plans, events and packets to be written into journals, and journals made of them."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mcp_sim.recording.journal.frames import (
    HEADER_ONLY,
    PacketColumns,
    Preamble,
    encode_packets,
    new_preamble,
    seal_session_key,
)
from mcp_sim.recording.journal.writer import JournalWriter
from mcp_sim.recording.keyring import SpoolKeyring
from mcp_sim.recording.plan import Ended, Event, LegOpened, LegsPlaced, RecordingPlan, Started
from recording_format.names import MediaSerial
from recording_format.session_key import SessionKey

RECIPIENTS = b"1\x82recipient infos in DER"


def a_plan(recording_id: str = "0123456789ABCDEF0123456789ABCDEF") -> RecordingPlan:
    return RecordingPlan(
        recording_id=recording_id,
        serial=MediaSerial("0a1b2c3d", "00000001", 1),
        file_name_template="$id$_$MCPDateTime$",
        media_type="audio/wav",
        channels="stereo",
        tenant="Environment",
        tenant_dbid=1,
        profile="recording",
        profile_dbid=101,
        storage_url="http://127.0.0.1:8801/recordings",
        processor_url="http://127.0.0.1:8802",
        cert_aliases=["rcs_Environment:1:CN=ca:10"],
        skipped_certificates=[],
        encrypted=True,
        parameters={"id": recording_id},
    )


EVENTS: tuple[Event, ...] = (
    LegOpened(0, "1", {8: "pcma"}, 8000, 1_000),
    LegsPlaced({0: "left"}),
    Started(2_000, 1_700_000_000_000_000_000),
    Ended(9_000, "bye"),
)


def columns(
    packets: Sequence[tuple[int, int, bytes]], header_only: Sequence[bool] | None = None
) -> PacketColumns:
    """Return packets given as (arrival, leg, bytes)."""
    length = np.array([len(data) for _, _, data in packets], "<u2")
    if header_only is not None:
        length |= np.where(header_only, HEADER_ONLY, 0).astype("<u2")
    return PacketColumns(
        np.array([arrival for arrival, _, _ in packets], "<i8").tobytes(),
        length.tobytes(),
        bytes(leg for _, leg, _ in packets),
        b"".join(data for _, _, data in packets),
    )


def some_packets(count: int, *, first: int = 0) -> list[tuple[int, int, bytes]]:
    """Return packets whose bytes say which they are."""
    numbers = range(first, first + count)
    return [(5_000 + n, n % 2, f"packet {n} ".encode() * (1 + n % 3)) for n in numbers]


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Have the kernel refuse to let any file of this process grow beyond `size`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def no_more_files() -> Iterator[None]:
    """Have every further opening of a file fail, as when too many are open."""
    free = os.open("/dev/null", os.O_RDONLY)
    os.close(free)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@dataclass
class Workshop:
    """A folder, a keyring and a session key to make a journal with."""

    folder: Path
    keyring: SpoolKeyring = field(default_factory=SpoolKeyring.generate)
    key: SessionKey = field(default_factory=SessionKey.generate)

    @property
    def path(self) -> Path:
        return self.folder / "journal"

    def preamble(self) -> Preamble:
        return new_preamble(seal_session_key(self.keyring, self.key), RECIPIENTS)

    def writer(self) -> JournalWriter:
        return JournalWriter(self.path, self.key, self.preamble())

    def write(self, frames: int = 4, per_frame: int = 3) -> list[tuple[int, int, bytes]]:
        """Write plan, events and some frames of packets; return the packets."""
        writer = self.writer()
        writer.append_plan(a_plan())
        packets: list[tuple[int, int, bytes]] = []
        for event in EVENTS[:-1]:
            writer.append_event(event)
        for index in range(frames):
            new = some_packets(per_frame, first=index * per_frame)
            writer.append_packets(encode_packets([columns(new)]))
            packets += new
        writer.append_event(EVENTS[-1])
        writer.close()
        return packets

"""Calls as a capture process leaves them in the spool, and what became of them afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from mcp_sim.recording.journal.frames import (
    HEADER_ONLY,
    PacketColumns,
    encode_packets,
    new_preamble,
    seal_session_key,
)
from mcp_sim.recording.journal.writer import JournalWriter
from mcp_sim.recording.keyring import SpoolKeyring
from mcp_sim.recording.plan import (
    Ended,
    Event,
    LegClosed,
    LegOpened,
    LegsPlaced,
    RecordingPlan,
    Started,
)
from mcp_sim.recording.spool.folders import JOURNAL, MEDIA
from mcp_sim.recording.spool.item import SpoolItem, read_item
from mcp_sim.recording.spool.spool import Spool, State, item_name
from recording_format.certificates import certificate_alias
from recording_format.cipher import MediaDecryptor
from recording_format.envelope import Envelope, encode_recipients, wrap_session_key
from recording_format.metadata import MediaFile, decode_metadata
from recording_format.names import MediaSerial
from recording_format.session_key import SessionKey
from tests.recording_format.authority import recorder

from .synthetic_call import MS, T0, TYPES, WALL, Datagram, batch

RECORDERS = (recorder(1).recording(), recorder(2).recording())


def make_plan(recording_id: str = "CALL1", *, segment: int = 1, **changes: object) -> RecordingPlan:
    """Return a plan of an encrypted stereo WAV recording, with changes."""
    plan = RecordingPlan(
        recording_id=recording_id,
        serial=MediaSerial("0a1b2c3d", "00000001", segment),
        file_name_template="$id$_$MCPDateTime$",
        media_type="audio/wav",
        channels="stereo",
        tenant="Environment",
        tenant_dbid=1,
        profile="recording",
        profile_dbid=101,
        storage_url="http://store.example/recordings",
        processor_url="http://processor.example/api/contact-centers/example/recordings",
        cert_aliases=[certificate_alias(c, "Environment", 1) for c in RECORDERS],
        skipped_certificates=[],
        encrypted=True,
        parameters={"ani": "+16175550101", "dnis": "8005550199"},
    )
    return msgspec.structs.replace(plan, **changes)


def course(milliseconds: int, *, legs: int = 1, extra: Sequence[Event] = ()) -> list[Event]:
    """Return the events of a call that was answered and ended as it should."""
    opened = [LegOpened(n, f"leg-{n}", dict(TYPES), 8000, T0 - 5 * MS) for n in range(legs)]
    placed = LegsPlaced({n: "left" if n == 0 else "right" for n in range(legs)})
    closed = [LegClosed(n, T0 + milliseconds * MS) for n in range(legs)]
    ended = Ended(T0 + milliseconds * MS, "bye")
    return [*opened, placed, Started(T0, WALL), *extra, *closed, ended]


def write_journal(
    path: Path,
    plan: RecordingPlan,
    keyring: SpoolKeyring,
    events: Sequence[Event],
    datagrams: Sequence[Datagram] = (),
    *,
    key: SessionKey | None = None,
    per_frame: int = 50,
) -> SessionKey:
    """Write a journal: plan, events, then the datagrams by their arrival; return its key."""
    key = key or SessionKey.generate()
    recipients = encode_recipients(wrap_session_key(key, RECORDERS)) if plan.encrypted else b""
    preamble = new_preamble(seal_session_key(keyring, key), recipients)
    writer = JournalWriter(path, key, preamble)
    writer.append_plan(plan)
    for event in events:
        writer.append_event(event)
    arrived = sorted(datagrams, key=lambda datagram: datagram.at)
    for begin in range(0, len(arrived), per_frame):
        packets = batch(arrived[begin : begin + per_frame])
        length = packets.length.astype("<u2")
        length[packets.header_only] |= HEADER_ONLY
        columns = PacketColumns(
            packets.arrival_ns.tobytes(), length.tobytes(), packets.leg.tobytes(), packets.data
        )
        writer.append_packets(encode_packets([columns]))
    writer.close()
    return key


def record(
    spool: Spool,
    keyring: SpoolKeyring,
    events: Sequence[Event],
    datagrams: Sequence[Datagram] = (),
    *,
    plan: RecordingPlan | None = None,
    key: SessionKey | None = None,
) -> str:
    """Put a captured call into the spool, to be rendered; return its item."""
    plan = plan or make_plan()
    item = item_name(plan)
    folder = spool.create(item)
    write_journal(folder / JOURNAL, plan, keyring, events, datagrams, key=key)
    spool.advance(item, State.RENDERING)
    return item


def read_metadata(item: SpoolItem) -> MediaFile:
    """Return the metadata in an item."""
    (media,) = decode_metadata(bytes(item.metadata)).media_files
    return media


def open_recording(spool: Spool, item: str, recipient: int = 1) -> tuple[MediaFile, bytes]:
    """Return the metadata and the plaintext of a ready item, with a recipient's private key."""
    folder = spool.folder(item, State.READY)
    media = read_metadata(read_item(folder))
    assert media.pkcs7 is not None
    envelope = Envelope.from_pem(media.pkcs7)
    holder = recorder(recipient)
    decryptor = MediaDecryptor(envelope.unwrap(holder.recording(), holder.key), envelope.iv)
    plaintext = decryptor.update((folder / MEDIA).read_bytes()) + decryptor.finalize()
    return media, plaintext

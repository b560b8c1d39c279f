"""One recording, from its journal to a sealed file that is ready to be delivered.

Rendering may be repeated as often as it is interrupted: it begins anew, under a new IV, until the
item has been moved to ``ready`` in one rename. Only then the journal goes. Memory is bounded
whatever the call's length; blocking, to be run in a worker process.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mcp_sim.recording.disk_calls import DISK, DiskCalls
from mcp_sim.recording.journal.frames import EmptyJournalError, JournalError, seal_session_key
from mcp_sim.recording.journal.reader import JournalReader
from mcp_sim.recording.keyring import KeyringError, SpoolKeyring
from mcp_sim.recording.plan import Ended, RecordingPlan, Started
from mcp_sim.recording.render import description
from mcp_sim.recording.render.messages import RenderSettings, RenderSummary
from mcp_sim.recording.render.mp3 import Mp3Writer
from mcp_sim.recording.render.seal import SealedFile, Sealer
from mcp_sim.recording.render.wav import ContainerError, WavWriter
from mcp_sim.recording.spool.folders import CRASHES, JOURNAL, MEDIA, SpoolFolders, State
from mcp_sim.recording.spool.item import SealedCopy, SpoolItem, split_secrets, write_item
from mcp_sim.recording.timeline.outline import SAMPLE_RATE, NothingRecordedError, Outline, outline
from mcp_sim.recording.timeline.timeline import Timeline
from recording_format.errors import RecordingFormatError
from recording_format.lab import Lab
from recording_format.media_file import MediaFile

_CHANNELS = {"mono": 1, "stereo": 2}
_KEPT = {JOURNAL, CRASHES}


class RenderError(Exception):
    """A recording cannot be rendered, however often it is tried; the text says why."""


class EmptyRecordingError(Exception):
    """The journal holds no recording: the call was never answered."""


class _Container(Protocol):
    """A media file as a stream; its size is known beforehand."""

    def write(self, block: npt.NDArray[np.int16]) -> bytes: ...
    def finish(self) -> bytes: ...


def render(
    spool: SpoolFolders,
    item: str,
    keyring: SpoolKeyring,
    settings: RenderSettings,
    disk: DiskCalls = DISK,
) -> RenderSummary:
    """Render what lies in ``rendering/<item>`` and move it to ``ready``.

    Raises `RenderError`, `EmptyRecordingError`, or `OSError` where trying later may help (disk).
    """
    started, cpu_started = time.monotonic(), time.process_time()
    folder = spool.folder(item, State.RENDERING)
    if {path.name for path in folder.iterdir()} <= {CRASHES}:
        # Killed between the folder and its journal: nobody was answered before that was there.
        raise EmptyRecordingError(f"{folder} holds no journal")
    _clear(folder)
    try:
        with JournalReader.open(folder / JOURNAL, keyring) as journal:
            media = _render_journal(folder, journal, keyring, settings, disk)
    except (EmptyJournalError, NothingRecordedError) as error:
        raise EmptyRecordingError(str(error)) from None
    except (JournalError, KeyringError, ContainerError, RecordingFormatError) as error:
        raise RenderError(str(error)) from None
    ready = spool.advance(item, State.READY)
    for name in _KEPT:
        (ready / name).unlink(missing_ok=True)
    return _summary(media, time.monotonic() - started, time.process_time() - cpu_started)


def _clear(folder: Path) -> None:
    """Throw away what an interrupted render left: it is rendered again, under a new IV."""
    for path in folder.iterdir():
        if path.name not in _KEPT:
            path.unlink()


def _render_journal(
    folder: Path,
    journal: JournalReader,
    keyring: SpoolKeyring,
    settings: RenderSettings,
    disk: DiskCalls,
) -> MediaFile:
    """Write media and item into `folder`; return the metadata."""
    plan, call = journal.plan, _course(journal)
    name = description.name_media(plan, call)
    timeline = Timeline(call, channels=_CHANNELS[plan.channels])
    container = _container(plan, call, settings)
    sealer = Sealer(folder / MEDIA, journal.session_key, plain=not plan.encrypted, disk=disk)
    try:
        for block in _sound(journal, timeline):
            sealer.write(container.write(block))
        sealer.write(container.finish())
        sealed = sealer.finish(media_id=name, recipients=journal.recipients)
    except BaseException:
        sealer.abandon()
        raise
    media = description.describe(
        plan,
        call,
        name,
        sealed,
        timeline.reports(),
        recovered=call.recovered or journal.torn or bool(journal.damage),
        unit=settings.duration_unit,
    )
    write_item(folder, _item(journal, media, sealed, keyring))
    return media


def _course(journal: JournalReader) -> Outline:
    """Return the call's outline; where its end is missing, the packets are looked through."""
    said = {type(event) for event in journal.events}
    if Started in said and Ended in said:
        return outline(journal.plan, journal.events)
    first_ns = last_ns = None
    for batch in journal.packets():
        lowest, highest = int(batch.arrival_ns.min()), int(batch.arrival_ns.max())
        first_ns = lowest if first_ns is None else min(first_ns, lowest)
        last_ns = highest if last_ns is None else max(last_ns, highest)
    return outline(
        journal.plan,
        journal.events,
        first_packet_ns=first_ns,
        last_packet_ns=last_ns,
        last_wall_ns=journal.path.stat().st_mtime_ns,
    )


def _container(plan: RecordingPlan, call: Outline, settings: RenderSettings) -> _Container:
    channels = _CHANNELS[plan.channels]
    if plan.media_type == "audio/wav":
        return WavWriter(sample_rate=SAMPLE_RATE, channels=channels, samples=call.samples)
    kbps = settings.stereo_kbps if channels == 2 else settings.mono_kbps
    return Mp3Writer(channels=channels, samples=call.samples, kbps=kbps)


def _sound(journal: JournalReader, timeline: Timeline) -> Iterator[npt.NDArray[np.int16]]:
    for batch in journal.packets():
        yield from timeline.write(batch)
    yield from timeline.finish()


def _item(
    journal: JournalReader, media: MediaFile, sealed: SealedFile, keyring: SpoolKeyring
) -> SpoolItem:
    plan = journal.plan
    metadata, secrets = split_secrets(media, keyring)
    plain_copy = SealedCopy(sealed.iv, seal_session_key(keyring, journal.session_key))
    copy_storage_url, copy_url = description.copy_urls(plan, media.media_id)
    return SpoolItem(
        recording_id=plan.recording_id,
        media_id=media.media_id,
        tenant=plan.tenant,
        tenant_dbid=plan.tenant_dbid,
        profile=plan.profile,
        profile_dbid=plan.profile_dbid,
        profile_box=plan.profile_box,
        storage_url=description.collection_url(plan),
        object_url=description.object_url(plan, media.media_id),
        processor_url=plan.processor_url,
        copy_storage_url=copy_storage_url,
        copy_url=copy_url,
        size=sealed.digests.size,
        sha256=sealed.digests.sha256,
        metadata=metadata,
        secrets=secrets,
        sealed=None if plan.encrypted else plain_copy,
    )


def _summary(media: MediaFile, seconds: float, cpu_seconds: float) -> RenderSummary:
    lab = media.lab
    assert isinstance(lab, Lab)
    return RenderSummary(
        recording_id=media.recording_id,
        media_id=media.media_id,
        duration_ms=media.duration_ms(),
        size=media.size_bytes,
        packets=sum(leg.packets for leg in lab.legs),
        lost=sum(leg.lost for leg in lab.legs),
        late=sum(leg.late for leg in lab.legs),
        duplicate=sum(leg.duplicate for leg in lab.legs),
        recovered=lab.recovered,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
    )

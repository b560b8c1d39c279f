"""A whole recorder on loopback: real SIP, real capture and render processes, and a store and a
processor that keep what they are given.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit
from wave import open as open_wave

import aiohttp
import numpy as np
import numpy.typing as npt

from mcp_sim.addresses import open_addresses
from mcp_sim.calls import RecordingFacts
from mcp_sim.config import (
    CaptureSettings,
    McpSettings,
    MpcSettings,
    ProcessorSettings,
    SipSettings,
    SpoolSettings,
)
from mcp_sim.destinations import Destinations
from mcp_sim.front import Front, open_front
from mcp_sim.node import Node
from mcp_sim.pipeline import Pipeline
from mcp_sim.profiles import ProfileBook, ProfileEdition
from mcp_sim.recording.capture.options import CaptureOptions
from mcp_sim.recording.delivery.backoff import Backoff
from mcp_sim.recording.delivery.delivery import Delivery
from mcp_sim.recording.keyring import SpoolKeyring
from mcp_sim.recording.render.pool import RenderPool
from mcp_sim.recording.spool.folders import State
from mcp_sim.recording.spool.spool import Spool
from recording_format.ivr_profile import IvrProfile
from recording_format.media_file import MediaFile
from recording_format.metadata import decode_metadata
from recording_format.timestamps import parse_time
from service_shell.log import LogSettings
from tests.mcp_sim.recording.fake_destinations import (
    ACCOUNT,
    POST_ACCOUNT,
    FakeProcessor,
    FakeStore,
    serving,
)

from .callers import Span
from .pki import fresh_ca_file, fresh_pair, profile, with_options

QUIET = LogSettings(level="error")
ENCRYPTED, PLAIN = 101, 102
WAIT = 20.0  # seconds: the bound of every wait in these tests, never reached when all is well


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process does."""
    async with asyncio.timeout(WAIT):
        while not condition():
            await asyncio.sleep(0.005)


@dataclass
class Recorder:
    """The running recorder; `address` is where its SIP is."""

    front: Front
    pipeline: Pipeline
    spool: Spool
    book: ProfileBook
    store: FakeStore
    processor: FakeProcessor

    @property
    def address(self) -> tuple[str, int]:
        return self.front.agent.address

    def profile(self, dbid: int, **said: str) -> IvrProfile:
        """A profile that delivers to the store and the processor of this recorder."""
        return with_options(
            profile(fresh_pair().certificate_pem, dbid=dbid, name=f"profile {dbid}"),
            {
                "recordingclient.recdest": f"{self.store.url}/recordings",
                "recordingclient.httpauthorization": ":".join(ACCOUNT),
                "recordingclient.callrec_dest": f"{self.processor.url}/recordings",
                "recordingclient.callrec_authorization": ":".join(POST_ACCOUNT),
                **said,
            },
        )

    def plain_profile(self, dbid: int, **said: str) -> IvrProfile:
        """The same, whose recordings are not encrypted."""
        made = self.profile(dbid, **{"lab.unencrypted": "true", **said})
        made.sections["recording-certificates"].clear()
        return made

    def publish(self, *profiles: IvrProfile) -> None:
        """Put these profiles in force."""
        self.book.update(ProfileEdition(self.book.version + 1, list(profiles)))

    def posted(self, recording_id: str) -> list[MediaFile]:
        """The media files of a recording that the processor heard of."""
        files = [decode_metadata(post.body).media_files[0] for post in self.processor.posts]
        return [media for media in files if media.recording_id == recording_id]

    async def recording(self, recording_id: str) -> MediaFile:
        """Wait for the only media file of a recording."""
        [media] = await self.recordings(recording_id, 1)
        return media

    async def recordings(self, recording_id: str, count: int) -> list[MediaFile]:
        """Wait for so many media files of a recording; see that none came twice."""
        await until(lambda: len(self.posted(recording_id)) >= count)
        files = self.posted(recording_id)
        assert len({media.media_id for media in files}) == len(files) == count
        return sorted(files, key=lambda media: media.started)

    def samples(self, media: MediaFile) -> npt.NDArray[np.int16]:
        """The sound of a plain recording, channels × samples."""
        stored = self.store.objects[urlsplit(media.media_descriptor.path).path]
        with open_wave(BytesIO(stored)) as wave:
            frames = np.frombuffer(wave.readframes(wave.getnframes()), "<i2")
            return frames.reshape(-1, wave.getnchannels()).T

    def in_spool(self) -> dict[str, list[str]]:
        """What waits anywhere in the spool, by state; delivered items count no more."""
        states = [state for state in State if state is not State.DELIVERED]
        return {state: items for state in states if (items := self.spool.items(state))}


def check_span(media: MediaFile, began: Span, ended: Span) -> None:
    """See that the file's span is the call's: between these moments, and told alike everywhere.

    The wall clock is written in milliseconds, which may be rounded.
    """
    assert began[0] - 0.001 <= media.started.timestamp() <= began[1] + 0.001
    assert ended[0] - 0.001 <= media.stopped.timestamp() <= ended[1] + 0.001
    span = (media.stopped - media.started).total_seconds() * 1000
    assert abs(int(media.duration) - span) <= 1


def channels(media: MediaFile) -> dict[str, str]:
    """Each leg's channel by its label."""
    assert media.lab is not None
    return {leg.label: leg.channel for leg in media.lab.legs}


def masks(media: MediaFile) -> list[tuple[str, float]]:
    """What was paused: type and Unix time of each turn."""
    return [(mask.type, parse_time(mask.time).timestamp()) for mask in media.masks]


def recovered(media: MediaFile) -> bool:
    """Whether the recording was made of what a killed process left."""
    assert media.lab is not None
    return media.lab.recovered


@asynccontextmanager
async def served() -> AsyncIterator[tuple[FakeStore, FakeProcessor]]:
    """A store and a processor, up."""
    store, processor = FakeStore(), FakeProcessor()
    async with serving(store), serving(processor):
        yield store, processor


@asynccontextmanager
async def running_recorder(
    folder: Path,
    *,
    processes: int = 1,
    destinations: tuple[FakeStore, FakeProcessor] | None = None,
) -> AsyncIterator[Recorder]:
    """A recorder whose spool lies in `folder`; two profiles, one of them plain, are in force.

    `destinations` are served already; without them it has its own.
    """
    settings = McpSettings(
        spool=SpoolSettings(folder=str(folder / "spool"), keyring=str(folder / "keyring")),
        processor=ProcessorSettings(url="http://127.0.0.1:9"),
        listen="127.0.0.1:0",
        sip=SipSettings(listen="127.0.0.1:0"),
        capture=CaptureSettings(processes=processes),
        mpc=MpcSettings(ca_file=str(fresh_ca_file(folder))),
        log=QUIET,
    )
    book = ProfileBook()
    keyring = SpoolKeyring.open_or_create(folder / "keyring")
    with await open_addresses(settings) as bound, Spool(folder / "spool") as spool:
        options = CaptureOptions(tick=0.02, flush=0.05)
        addresses = dataclasses.replace(bound, capture=options)
        facts = RecordingFacts(Node(spool.root), settings.mpc, keyring)
        async with AsyncExitStack() as stack, aiohttp.ClientSession() as http:
            if destinations is None:
                destinations = await stack.enter_async_context(served())
            store, processor = destinations
            delivery = Delivery(
                spool, http, Destinations(book, keyring).credentials,
                keyring=keyring, backoff=Backoff(first=0.05, longest=0.2),
            )  # fmt: skip
            async with RenderPool(spool, keyring, workers=1, log_settings=QUIET) as renders:
                pipeline = Pipeline(spool, renders, delivery)
                async with (
                    pipeline.running(),
                    open_front(settings, addresses, facts, spool, book, pipeline) as front,
                ):
                    made = Recorder(front, pipeline, spool, book, store, processor)
                    made.publish(made.profile(ENCRYPTED), made.plain_profile(PLAIN))
                    yield made

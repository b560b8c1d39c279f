"""Capture as a test wants it, and the reception in front of it: for what real processes do too
fast, or seldom.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import CollectorRegistry

from mcp_sim.calls import Calls, RecordingFacts
from mcp_sim.capture_fleet import CaptureFleet
from mcp_sim.config import MpcSettings
from mcp_sim.node import Node
from mcp_sim.profiles import ProfileBook, ProfileEdition
from mcp_sim.reception import Reception
from mcp_sim.recording.capture.client import CaptureClient, CaptureError
from mcp_sim.recording.capture.options import CaptureOptions
from mcp_sim.recording.keyring import SpoolKeyring
from mcp_sim.recording.plan import Ended, Event, LegOpened, RecordingPlan, SealedBox
from mcp_sim.recording.spool.folders import State
from mcp_sim.recording.spool.space import SpoolSpace
from mcp_sim.recording.spool.spool import Spool
from mcp_sim.refusals import Refusals
from mcp_sim.sip import SipAgent
from recording_format.session_key import SessionKey
from tests.mcp_sim.sip.endpoints import agent

from .pki import fresh_ca_file, fresh_pair, profile
from .recorder import QUIET, until


class FakeCapture(CaptureClient):
    """Notes what it is asked. A step whose name is `held` waits until it is let go; `faults` are
    what the next steps of a name end with.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, object]] = []
        self.held: dict[str, asyncio.Event] = {}
        self.faults: dict[str, list[CaptureError]] = {}
        self._ports = 20_000

    def hold(self, step: str) -> asyncio.Event:
        """Have this step wait; set the event to let it go."""
        self.held[step] = asyncio.Event()
        return self.held[step]

    def fail(self, step: str, *faults: CaptureError) -> None:
        """Have the next steps of this name fail."""
        self.faults.setdefault(step, []).extend(faults)

    def count(self, step: str) -> int:
        """How often it was asked for a step."""
        return sum(1 for name, _ in self.asked if name == step)

    def events(self, kind: type[Event]) -> list[Event]:
        """The events of a kind that were written, in order."""
        return [said for _, said in self.asked if isinstance(said, kind)]

    async def open_call(
        self,
        folder: Path,
        session_key: SessionKey,
        recipients: bytes,
        key_box: SealedBox,
        plan: RecordingPlan,
    ) -> None:
        self.calls.add(plan.recording_id)
        await self._step("open_call", plan)
        (folder / "journal").touch()

    async def open_leg(self, recording_id: str, leg: LegOpened) -> tuple[str, int]:
        await self._step("open_leg", leg)
        self._ports += 2
        return "127.0.0.1", self._ports

    async def event(self, recording_id: str, event: Event) -> None:
        await self._step("event", event)

    async def close_leg(self, recording_id: str, leg: int) -> None:
        await self._step("close_leg", leg)

    async def close_call(self, recording_id: str, ended: Ended) -> None:
        self.calls.discard(recording_id)
        await self._step("close_call", ended)

    async def _step(self, name: str, said: object) -> None:
        self.asked.append((name, said))
        if name in self.held:
            await self.held[name].wait()
        if self.faults.get(name):
            raise self.faults[name].pop(0)


class FakeFleet(CaptureFleet):
    """A fleet of one fake process."""

    def __init__(self, capture: FakeCapture) -> None:
        super().__init__(CaptureOptions(), QUIET, lock=-1)
        self._clients.append(capture)


@dataclass
class Desk:
    """A reception whose capture is fake; `captured` are the items that were handed on."""

    sip: SipAgent
    reception: Reception
    calls: Calls
    capture: FakeCapture
    refusals: Refusals
    spool: Spool
    book: ProfileBook
    registry: CollectorRegistry
    captured: list[str] = field(default_factory=list)

    def counted(self, cause: str) -> float:
        """How many calls the metrics say were refused for this cause."""
        name = "reclab_mcp_calls_refused_total"
        return self.registry.get_sample_value(name, {"cause": cause}) or 0

    @property
    def address(self) -> tuple[str, int]:
        return self.sip.address

    async def reached(self, step: str, times: int = 1) -> None:
        """Wait until capture was asked for a step so often."""
        await until(lambda: self.capture.count(step) >= times)

    async def idle(self) -> None:
        """Wait until no call is left, not even one that is ending."""
        assert await self.calls.wait_idle(10)

    @property
    def in_spool(self) -> list[str]:
        """The items that are being captured; in these tests none goes further."""
        return self.spool.items(State.CAPTURING)


@asynccontextmanager
async def front_desk(folder: Path, *, limit: int = 100) -> AsyncIterator[Desk]:
    """A desk that takes calls by SIP on loopback."""
    keyring, registry, capture = SpoolKeyring.generate(), CollectorRegistry(), FakeCapture()
    mpc = MpcSettings(ca_file=str(fresh_ca_file(folder)))
    book = ProfileBook()
    book.update(ProfileEdition(1, [profile(fresh_pair().certificate_pem)]))
    captured: list[str] = []
    with Spool(folder / "spool") as spool:
        facts = RecordingFacts(Node(spool.root), mpc, keyring)
        space = SpoolSpace(spool.root)
        calls = Calls(
            facts, FakeFleet(capture), spool, limit=limit, space=space, on_captured=captured.append
        )
        refusals = Refusals(registry)
        reception = Reception(book=book, calls=calls, refusals=refusals, mpc=mpc, host="127.0.0.1")
        async with agent(reception.take) as sip:
            yield Desk(sip, reception, calls, capture, refusals, spool, book, registry, captured)
            for gate in capture.held.values():
                gate.set()
            await calls.stop_all("the test is over")

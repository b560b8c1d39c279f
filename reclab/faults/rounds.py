"""Scenarios played one after the other, in labs of their own.

Those that want the same settings share a lab as long as all goes well. The lab of one that did not
pass is kept, and the next one gets a new lab.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from mcp_sim.load.media_client import MediaFailed
from mcp_sim.load.report import ReportError
from reclab.doors import Ports
from reclab.faults.playing import Play
from reclab.faults.profile_desk import ProfileUnchanged
from reclab.faults.result import Result
from reclab.faults.shipped import NamedScenario
from reclab.faults.steps import StepFailed
from reclab.faults.waiting import NotInTime, Tell
from reclab.files import make_private_folder
from reclab.lab import Lab
from reclab.lab_client import LabError
from reclab.preparation import RecordingOptions
from reclab.running import running_lab
from service_shell.settings import SettingsError

#: So that an outage outlasts all first tries within seconds, and what waits arrives soon after it.
QUICK: Final = {
    "RECLAB_MCP__DELIVERY__FIRST_RETRY": "0.2",
    "RECLAB_MCP__DELIVERY__LONGEST_RETRY": "1",
    "RECLAB_MCP__DELIVERY__CIRCUIT_PAUSE": "0.2",
    "RECLAB_MCP__DELIVERY__LONGEST_CIRCUIT_PAUSE": "0.5",
    "RECLAB_MCP__DELIVERY__TIMEOUT": "5",
}
_ENDINGS: Final = (
    NotInTime, LabError, StepFailed, ProfileUnchanged, SettingsError, MediaFailed, ReportError,
)  # fmt: skip


@dataclass
class Rounds:
    """One run of scenarios; `results` has those that came to an end."""

    tell: Tell
    done: Callable[[Result], None]
    keep: Path | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    results: list[Result] = field(default_factory=list)

    async def run(self, scenarios: Sequence[NamedScenario]) -> None:
        """Play all of them. Raises `SettingsError` where no lab comes up."""
        root = self._root()
        groups: dict[tuple[tuple[str, str], ...], list[NamedScenario]] = {}
        for one in scenarios:
            key = tuple(sorted((QUICK | one.scenario.environment).items()))
            groups.setdefault(key, []).append(one)
        number = 0
        try:
            for environment, waiting in groups.items():
                while waiting and not self.stopping.is_set():
                    number += 1
                    await self._in_one_lab(root / f"lab-{number}", dict(environment), waiting)
        finally:
            if self.keep is None and not any(root.iterdir()):
                root.rmdir()

    def _root(self) -> Path:
        if self.keep is None:
            return Path(tempfile.mkdtemp(prefix="reclab-faults-"))
        make_private_folder(self.keep)
        if any(self.keep.iterdir()):
            raise SettingsError(f"the folder {self.keep} is not empty: labs are kept in a new one")
        return self.keep

    async def _in_one_lab(
        self, data: Path, environment: dict[str, str], waiting: list[NamedScenario]
    ) -> None:
        """Play what waits in one lab, until one does not pass, or nobody wants to go on."""
        kept = self.keep is not None
        try:
            kept |= await self._play_in(data, environment, waiting)
        except asyncio.CancelledError:
            self.tell("the lab is removed")
            raise
        except BaseException:
            kept = True  # its logs say why it did not come up
            raise
        finally:
            if not kept:
                await asyncio.to_thread(shutil.rmtree, data, ignore_errors=True)

    async def _play_in(
        self, data: Path, environment: dict[str, str], waiting: list[NamedScenario]
    ) -> bool:
        """Bring the lab up; return whether one did not pass."""
        # When the last look is over nothing is left to be delivered; a failed lab is kept as it is.
        hurry = asyncio.Event()
        async with running_lab(
            data,
            RecordingOptions(),
            ports=Ports.FREE,
            say=self.tell,
            hurry=hurry,
            environment=environment,
            faults=True,
        ) as lab:
            try:
                while waiting and not self.stopping.is_set():
                    result = await self._play(waiting.pop(0), lab, data)
                    if self.keep is not None or not result.passed:
                        result = msgspec.structs.replace(result, lab=str(data))
                    self.results.append(result)
                    self.done(result)
                    if not result.passed:
                        return True
            finally:
                hurry.set()
        return False

    async def _play(self, named: NamedScenario, lab: Lab, data: Path) -> Result:
        began, problem = time.monotonic(), ""

        def tell(text: str) -> None:
            self.tell(f"{named.name}: {text}")

        play = Play(named.scenario, named.name, lab, data, tell=tell)
        try:
            await play.run()
        except _ENDINGS as error:
            problem = str(error)
        return Result(
            scenario=named.name,
            title=named.scenario.title,
            seed=named.scenario.seed,
            seconds=round(time.monotonic() - began, 1),
            during=tuple(play.during),
            expect=tuple(play.expect),
            problem=problem,
        )

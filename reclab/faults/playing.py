"""One scenario played in a lab that is up: load, faults, what a person does, and the questions.

steps before → faults begin → calls → (the faults did their work) → steps → look
             → everything is healed → steps → delivered → further calls → look
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from mcp_sim.load.caller import Caller
from mcp_sim.load.impairments import Impairments
from mcp_sim.load.report import CallReport, write_report
from mcp_sim.load.scenario import Scenario as Load
from mcp_sim.recording.spool.folders import SpoolFolders, State
from mcp_sim.recording.spool.item import read_progress
from reclab.faults.checking import check, check_struck
from reclab.faults.expectation import Expectation
from reclab.faults.force import PlanInForce
from reclab.faults.impairing import impaired, impairments
from reclab.faults.looking import look, of_calls, spool_states
from reclab.faults.outcome import Judgement, Outcome
from reclab.faults.scenario import Calls, FaultScenario
from reclab.faults.steps import Steps
from reclab.faults.waiting import Tell, wait_until
from reclab.lab import Lab
from reclab.preparation import LabFolder
from service_shell.listening import split_address

_ON_ITS_WAY: Final = (State.CAPTURING, State.RENDERING, State.READY)
_SOON: Final = 0.005
_AFTERWARDS: Final = Expectation(taken="all", recorded="all", doubled=0, verified="all")


class Play:
    """One scenario in one lab; `run` once. `during` and `expect` have the judgements so far."""

    def __init__(
        self, scenario: FaultScenario, name: str, lab: Lab, data: Path, *, tell: Tell
    ) -> None:
        self._scenario, self._name = scenario, name
        self._lab, self._folder = lab, LabFolder(data)
        self._tell = tell
        self._steps = Steps(lab, self._folder, scenario.steps, tell=tell)
        self._calls: tuple[CallReport, ...] = ()
        self.during: list[Judgement] = []
        self.expect: list[Judgement] = []

    async def run(self) -> None:
        """Play it. Raises `NotInTime`, `LabError`, `SettingsError` and the like where it cannot
        go on; everything is healed then, too, as far as it can be.
        """
        scenario = self._scenario
        force = PlanInForce(self._lab, self._folder, scenario.plan, tell=self._tell)
        try:
            await self._steps.do("before")
            await force.begin()
            wrong = impairments(scenario.faults)
            load = scenario.load.load(seed_of(self._name, scenario.seed), wrong)
            self._calls = await self._place(load, "sent", force.calls_begin)
            await force.last()
            await self._did_their_work()
            await self._steps.do("ended", self._calls)
            if scenario.during is not None:
                self.during += check(scenario.during, await self._look(scenario.during))
            self.during += check_struck(await force.struck() | impaired(self._calls))
        finally:
            self._tell("everything is healed")
            await force.heal()
        await self._steps.do("healed", self._calls)
        await self._settle(self._calls)
        self.expect += check(scenario.expect, await self._look(scenario.expect))
        if scenario.after is not None:
            self.expect += await self._afterwards(scenario.after)
        await self._steps.restore()

    async def _place(
        self,
        load: Load,
        name: str,
        begun: Callable[[], Awaitable[None]] | None = None,
    ) -> tuple[CallReport, ...]:
        """Place calls; `begun` is called when the first one was placed."""
        self._tell(f"{load.calls} calls of {load.hold:g} s are placed")
        caller = Caller(load, split_address(self._lab.sip))
        running = asyncio.create_task(caller.run())
        try:
            if begun is not None:
                # The caller tells nobody when it begins.
                while not (caller.progress.placed or running.done()):  # noqa: ASYNC110  # see above
                    await asyncio.sleep(_SOON)
                await begun()
            report = await running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        write_report(report, self._folder.root / f"{self._name}-{name}.json")
        return report.calls

    async def _did_their_work(self) -> None:
        """Wait until what is to be delivered was tried often enough, and fails."""
        until = self._scenario.until
        await wait_until(
            self._untried, within=until.within, tell=self._tell, what="the faults do their work"
        )

    async def _untried(self) -> str:
        states = await asyncio.to_thread(self._states, self._calls)
        unsealed = sum(state in (State.CAPTURING, State.RENDERING) for state in states.values())
        if unsealed:
            return f"{unsealed} recordings are not sealed yet"
        if self._scenario.until.delivered:
            return f"{len(waiting)} recordings wait" if (waiting := self._ready(states)) else ""
        wanted = self._scenario.until.tries
        tried = await asyncio.to_thread(self._tries, states)
        rest = sum(count < wanted for count in tried)
        return f"{rest} recordings were tried less than {wanted} times" if rest else ""

    def _tries(self, states: dict[str, State]) -> list[int]:
        spool = SpoolFolders(self._folder.root / "spool")
        folders = [spool.folder(item, State.READY) for item in self._ready(states)]
        return [read_progress(folder).tries for folder in folders]

    def _ready(self, states: dict[str, State]) -> list[str]:
        return [item for item, state in states.items() if state is State.READY]

    async def _settle(self, calls: Sequence[CallReport]) -> None:
        """Wait until nothing of the calls is on its way any more."""

        async def rest() -> str:
            states = await asyncio.to_thread(self._states, calls)
            count = sum(state in _ON_ITS_WAY for state in states.values())
            return f"{count} recordings are on their way" if count else ""

        if self._scenario.expect.waiting in (None, 0, "none"):
            within = self._scenario.within
            await wait_until(rest, within=within, tell=self._tell, what="everything arrives")

    def _states(self, calls: Sequence[CallReport]) -> dict[str, State]:
        return of_calls(spool_states(self._folder), [call.identity for call in calls])

    async def _look(self, expected: Expectation) -> Outcome:
        self._tell("the recordings are looked at")
        return await look(self._lab, self._folder, self._calls, expected)

    async def _afterwards(self, calls: Calls) -> list[Judgement]:
        """Place calls when all is well again, and judge that it is."""
        seed = seed_of(f"{self._name}, afterwards", self._scenario.seed)
        load = calls.load(seed, Impairments())
        placed = await self._place(load, "sent-after")
        await self._settle(placed)
        found = await look(self._lab, self._folder, placed, _AFTERWARDS)
        return [
            msgspec.structs.replace(one, question=f"afterwards: {one.question}")
            for one in check(_AFTERWARDS, found)
        ]


def seed_of(name: str, seed: int) -> int:
    """Return the seed of a scenario's calls: others for another scenario of the same seed."""
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:6])

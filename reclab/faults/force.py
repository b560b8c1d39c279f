"""A plan put in force in a whole lab: by its services, and by the lab's own certificates.

The faults of a service are told to it and end there when its clock says so. Those of certificates
are caused from here, at their time. RTP is impaired by whoever sends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from reclab.faults.certificates import CertificateFaults
from reclab.faults.figures import figure
from reclab.faults.lab_faults import LabFaults, State, lab_faults
from reclab.faults.waiting import Tell
from reclab.lab import Lab
from reclab.lab_client import LabError
from reclab.preparation import LabFolder
from service_shell.faults import CertificateFault, Fault, FaultPlan, PlatformFault

#: What is not counted where the plan is, and the platform's figure that tells it, where one does.
_ELSEWHERE: Final = {
    "crash": "",
    "disk-full": "reclab_mcp_capture_journal_errors_total",
    "slow-disk": "",
}
_PATIENCE: Final = 60.0
_PAUSE: Final = 0.2


class PlanInForce:
    """The plan of one run; `begin`, `calls_begin` and `heal` are called once each."""

    def __init__(self, lab: Lab, folder: LabFolder, plan: FaultPlan, *, tell: Tell) -> None:
        self._lab = lab
        self._plan = FaultPlan(seed=plan.seed, faults=plan.named)
        self._certificates = CertificateFaults(lab, folder)
        self._own = [fault for fault in self._plan.faults if isinstance(fault, CertificateFault)]
        self._tell = tell
        self._tasks: list[asyncio.Task[None]] = []
        self._struck: dict[str, int] = {}
        self._figures: dict[str, float] = {}
        self._began = 0.0

    async def begin(self) -> None:
        """Let those faults be that need no clock: they are there before the first call."""
        self._figures = await self._read_figures()
        for fault in self._own:
            if not fault.begin:
                await self._cause(fault)
        lasting = [fault for fault in self._plan.faults if not _timed(fault)]
        plan = FaultPlan(seed=self._plan.seed, faults=lasting)
        await self._ask(lambda faults: faults.put(plan))

    async def calls_begin(self) -> None:
        """The first call was placed: the seconds of the others count from now."""
        if any(map(_timed, self._plan.faults)):
            await self._ask(lambda faults: faults.put(self._plan))
        loop = asyncio.get_running_loop()
        self._began = loop.time()
        self._tasks = [loop.create_task(self._follow(fault)) for fault in self._own]

    async def last(self) -> None:
        """Wait until every fault that ends by itself has ended."""
        ends = max((fault.end for fault in self._plan.faults), default=0.0)
        begins = max((fault.begin for fault in self._plan.faults), default=0.0)
        rest = self._began + max(ends, begins) - asyncio.get_running_loop().time()
        if rest > 0:
            self._tell(f"faults end in {rest:.0f} s")
            await asyncio.sleep(rest)
        await asyncio.gather(*self._tasks)

    async def struck(self) -> dict[str, int]:
        """Return how many operations each fault struck, by its name, of those that are counted."""
        states = await self._ask(lambda faults: faults.show())
        counted = dict(self._struck)
        for state in states.values():
            counted |= {name: count["struck"] for name, count in state["counts"].items()}
        figures = await self._read_figures()
        for fault in self._plan.faults:
            if isinstance(fault, PlatformFault) and fault.kind in _ELSEWHERE:
                counted.pop(fault.name, None)
                if figure := _ELSEWHERE[fault.kind]:
                    counted[fault.name] = int(figures[figure] - self._figures.get(figure, 0.0))
        return counted

    async def heal(self) -> None:
        """End every fault."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._ask(lambda faults: faults.clear())
        await self._certificates.heal()

    async def _ask(
        self, what: Callable[[LabFaults], Awaitable[Mapping[str, State]]]
    ) -> Mapping[str, State]:
        """Ask the services, one of which may be about to be started again. Raises `LabError`."""
        loop = asyncio.get_running_loop()
        end = loop.time() + _PATIENCE
        async with lab_faults(self._lab) as faults:
            while True:
                try:
                    return await what(faults)
                except LabError:
                    if loop.time() >= end:
                        raise
                await asyncio.sleep(_PAUSE)

    async def _follow(self, fault: CertificateFault) -> None:
        if fault.begin:
            await self._sleep_until(fault.begin)
            await self._cause(fault)
        if fault.end:
            await self._sleep_until(fault.end)
            await self._certificates.heal()

    async def _cause(self, fault: CertificateFault) -> None:
        await self._certificates.cause(fault)
        self._struck[fault.name] = self._struck.get(fault.name, 0) + 1

    async def _read_figures(self) -> dict[str, float]:
        kinds = {f.kind for f in self._plan.faults if isinstance(f, PlatformFault)}
        wanted = [_ELSEWHERE[kind] for kind in kinds if _ELSEWHERE.get(kind)]
        return {name: await figure(self._lab, name) for name in wanted}

    async def _sleep_until(self, seconds: float) -> None:
        rest = self._began + seconds - asyncio.get_running_loop().time()
        await asyncio.sleep(max(0.0, rest))


def _timed(fault: Fault) -> bool:
    return bool(fault.begin or fault.end)

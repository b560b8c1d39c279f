"""A run: a lab, calls, kills; then every call is looked for, listened to and counted.

Nothing is hoped for by sleeping: calls talk before they are cut off, and the spool is empty before
anything is looked for.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mcp_sim.recording.spool.folders import State
from reclab.lab import Lab, load_lab
from reclab.lab_client import LabClient, lab_client
from service_shell.listening import split_address
from tests.end_to_end.lab_under_test import LabUnderTest, lab_up
from tests.faults.calls import Calls, Spoken, calling
from tests.faults.expectation import Expected, expect
from tests.faults.judge import Case, Verdict, judge
from tests.faults.kills import CUTTING, Kill, PlannedKill, plan_kills, strike

_TALKING_SHARE: Final = 0.9
_TALKING_SECONDS: Final = 90.0
_STRIKE_SECONDS: Final = 60.0
_STILL_SECONDS: Final = 180.0
_LOOK: Final = 0.05
_JUDGES: Final = 2
_TOLD_EVERY: Final = 5.0
_UNDER_WAY: Final = (State.CAPTURING, State.RENDERING, State.READY)


class RunFailed(Exception):
    """The run could not go on: something that it waits for did not happen."""


@dataclass
class Outcome:
    """What a run came to. `young` calls had sent less than a second, and left nothing.

    `late_ms` is how late the generator's latest packet left: a busy machine shows here.
    """

    kills: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    cut: int = 0
    recovered: int = 0
    young: int = 0
    lost: int = 0
    doubled: int = 0
    segmented: int = 0
    worst_missing_ms: int = 0
    worst_uncut_ms: int = 0
    late_ms: float = 0.0
    missing_ms: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def run_campaign(
    folder: Path, *, kills: int, calls: int, seed: int, say: Callable[[str], None]
) -> Outcome:
    """Do the whole run in `folder`. Raises `RunFailed`."""
    with lab_up(folder / "lab") as lab:
        return asyncio.run(_Run(lab, kills, calls, seed, say).run())


class _Run:
    def __init__(
        self, lab: LabUnderTest, kills: int, calls: int, seed: int, say: Callable[[str], None]
    ) -> None:
        self._lab, self._count, self._seed, self._say = lab, calls, seed, say
        self._plans = list(plan_kills(seed, kills))
        self._done: list[Kill] = []
        self._description: Lab = load_lab(lab.folder)
        self._late_ms = 0.0

    async def run(self) -> Outcome:
        target = split_address(self._lab.sip)
        async with calling(target, self._count, self._seed) as calls:
            talking = asyncio.create_task(calls.talk())
            async with _telling(lambda: self._say(self._line(calls))):
                try:
                    for plan in self._plans:
                        await self._kill(calls, plan)
                    await self._until_talking(calls)
                finally:
                    await calls.quiet()
                    await asyncio.wait({talking}, timeout=_TALKING_SECONDS)
            talking.result()
            self._late_ms = (await calls.line.media.finish()).worst_lag_ns / 1e6
        await self._until_delivered()
        return await self._judge(calls.spoken)

    def _line(self, calls: Calls) -> str:
        return (
            f"{len(self._done)} of {len(self._plans)} kills, {calls.talking} calls talk,"
            f" {len(calls.spoken)} are over, {self._under_way()} recordings under way"
        )

    # Killing

    async def _kill(self, calls: Calls, plan: PlannedKill) -> None:
        if not plan.hasty:
            await self._until_talking(calls)
        await asyncio.sleep(plan.pause)
        give_up = time.monotonic() + _STRIKE_SECONDS
        while (kill := strike(plan, self._lab.process.pid)) is None:
            if time.monotonic() > give_up:
                raise RunFailed(f"kill {plan.number}: no process for `{plan.kind}` came up")
            await asyncio.sleep(_LOOK)
        self._done.append(kill)
        if plan.kind in CUTTING - {"capture"}:
            calls.cut_off(plan.linger)

    async def _until_talking(self, calls: Calls) -> None:
        await _until(
            lambda: calls.talking >= _TALKING_SHARE * self._count,
            _TALKING_SECONDS,
            f"after {len(self._done)} kills, {self._count} calls did not come up again",
        )

    # Waiting

    def _under_way(self) -> int:
        return sum(len(self._items(state)) for state in _UNDER_WAY)

    def _items(self, state: State) -> list[str]:
        with suppress(FileNotFoundError):
            return [path.name for path in (self._lab.folder / "spool" / state).iterdir()]
        return []

    async def _until_delivered(self) -> None:
        """Wait until nothing is under way, as long as it becomes less."""
        left, since = -1, time.monotonic()
        while now_left := self._under_way():
            if now_left != left:
                left, since = now_left, time.monotonic()
                self._say(f"{left} recordings are still under way")
            if time.monotonic() - since > _STILL_SECONDS:
                raise RunFailed(f"{left} recordings stay in the spool")
            await asyncio.sleep(10 * _LOOK)

    # Judging

    async def _judge(self, spoken: Sequence[Spoken]) -> Outcome:
        kinds = Counter(str(kill.plan.kind) for kill in self._done)
        outcome = Outcome(kinds, late_ms=self._late_ms)
        outcome.problems += [
            f"put aside in the spool: {item}" for item in self._items(State.FAILED)
        ]
        asked = [call for call in spoken if call.legs]
        async with lab_client(self._description) as client:
            found = [recording async for recording in client.recordings()]
            # A call that was given up as it was answered may have left a moment of silence.
            by_call = _by_call(found, {call.identity for call in spoken}, outcome)
            judged = 0

            def judging() -> None:
                self._say(f"{judged} of {len(asked)} calls were listened to")

            limit = asyncio.Semaphore(2 * _JUDGES)
            with ProcessPoolExecutor(_JUDGES) as judges:
                async with _telling(judging), asyncio.TaskGroup() as group:

                    async def one(call: Spoken) -> None:
                        nonlocal judged
                        async with limit:
                            expected = expect(call, self._done)
                            case = await self._case(client, call, expected, by_call)
                            verdict = await asyncio.get_running_loop().run_in_executor(
                                judges, judge, case
                            )
                        judged += 1
                        _count(outcome, expected, verdict)

                    for call in asked:
                        group.create_task(one(call))
        return outcome

    async def _case(
        self,
        client: LabClient,
        call: Spoken,
        expected: Expected,
        by_call: Mapping[str, Sequence[Mapping[str, Any]]],
    ) -> Case:
        documents = sorted(by_call.get(call.identity, ()), key=lambda one: str(one["startTime"]))
        stored = [b"".join([part async for part in client.stored(one)]) for one in documents]
        sent = {leg: (one.first, one.packets) for leg, one in call.legs.items()}
        keys = {alias: Path(path) for alias, path in self._description.keys.items()}
        return Case(expected, sent, documents, stored, keys, self._late_ms)


def _by_call(
    found: Sequence[Mapping[str, Any]], asked: set[str], outcome: Outcome
) -> dict[str, list[Mapping[str, Any]]]:
    """Return each call's media files; more than one recording of a call is one too many."""
    by_call: dict[str, list[Mapping[str, Any]]] = {}
    recordings: Counter[str] = Counter()
    for recording in found:
        files = recording["mediaFiles"]
        identity = str(files[0]["parameters"].get("callUuid", recording["id"]))
        recordings[identity] += 1
        by_call.setdefault(identity, []).extend(files)
        if identity not in asked:
            outcome.problems.append(f"recording {recording['id']} is of no call that was placed")
    for identity, count in recordings.items():
        if count > 1:
            outcome.doubled += 1
            outcome.problems.append(f"{identity}: there are {count} recordings of it")
    return by_call


def _count(outcome: Outcome, expected: Expected, verdict: Verdict) -> None:
    outcome.calls += 1
    outcome.cut += expected.cut is not None
    outcome.recovered += verdict.recovered
    outcome.young += verdict.absent and not verdict.lost
    outcome.lost += verdict.lost
    outcome.doubled += verdict.doubled
    outcome.segmented += verdict.files > 1
    if not expected.may_miss_ms:
        outcome.worst_uncut_ms = max(outcome.worst_uncut_ms, verdict.missing_ms)
    elif not verdict.absent:
        outcome.worst_missing_ms = max(outcome.worst_missing_ms, verdict.missing_ms)
        outcome.missing_ms.append(verdict.missing_ms)
    kill = f" (kill {expected.cut.plan.number}, {expected.cut.plan.kind})" if expected.cut else ""
    outcome.problems += [f"{verdict.identity}{kill}: {problem}" for problem in verdict.problems]


async def _until(holds: Callable[[], bool], seconds: float, otherwise: str) -> None:
    give_up = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > give_up:
            raise RunFailed(otherwise)
        await asyncio.sleep(_LOOK)


@asynccontextmanager
async def _telling(tell: Callable[[], None]) -> AsyncIterator[None]:
    """Say every few seconds how far it is."""

    async def keep_telling() -> None:
        while True:
            await asyncio.sleep(_TOLD_EVERY)
            tell()

    task = asyncio.create_task(keep_telling())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

"""What a person does in a scenario: corrects a profile, runs the recovery, or ruins a file."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mcp_sim.load.report import CallReport
from mcp_sim.recording.spool.folders import ITEM, MEDIA, SpoolFolders, State
from reclab.faults.fates import repair
from reclab.faults.looking import of_calls, spool_states
from reclab.faults.profile_desk import JsonDict, ProfileDesk
from reclab.faults.scenario import Damage, Moment, Recover, RestoreOptions, SetOption, Step
from reclab.faults.waiting import Tell
from reclab.lab import Lab
from reclab.preparation import LabFolder

_GARBAGE: Final = b'{"recording_id": "never whole'


class StepFailed(Exception):
    """A step could not be done; one sentence."""


class Steps:
    """The steps of one run."""

    def __init__(self, lab: Lab, folder: LabFolder, steps: Sequence[Step], *, tell: Tell) -> None:
        self._lab, self._folder, self._steps, self._tell = lab, folder, steps, tell
        self._desk = ProfileDesk(lab)
        self._options_before: dict[tuple[str, str], str | None] = {}

    async def do(self, moment: Moment, calls: Sequence[CallReport] = ()) -> None:
        """Do the steps of a moment. Raises `StepFailed`, `ProfileUnchanged`, `SettingsError`."""
        for step in self._steps:
            if step.at == moment:
                await self._do(step, calls)

    async def _do(self, step: Step, calls: Sequence[CallReport]) -> None:
        match step:
            case SetOption():
                self._tell(f"{step.option} is changed")
                await self._set(step)
            case RestoreOptions():
                self._tell("the profile's options are corrected")
                await self.restore()
            case Damage():
                self._tell(f"damaged by hand: {step.what}")
                await asyncio.to_thread(self._damage, step, calls)
            case Recover():
                self._tell("reclab recover repairs")
                await repair(self._folder)

    async def _set(self, step: SetOption) -> None:
        profile = await self._desk.read()
        section = profile["sections"].setdefault(step.section, {})
        self._options_before.setdefault((step.section, step.option), section.get(step.option))
        section[step.option] = self._filled(step.value)
        await self._desk.write(profile)

    async def restore(self) -> None:
        """Put back every option that was set."""
        if not self._options_before:
            return
        profile = await self._desk.read()
        for (section, option), value in self._options_before.items():
            _put(profile, section, option, value)
        await self._desk.write(profile)
        self._options_before.clear()

    def _filled(self, value: str) -> str:
        lab = self._lab
        places = {
            "{store}": lab.store,
            "{processor}": lab.processor,
            "{password}": lab.users["mcp"].password,
        }
        for place, text in places.items():
            value = value.replace(place, text)
        return value

    def _damage(self, step: Damage, calls: Sequence[CallReport]) -> None:
        taken = [call.identity for call in calls if call.answered]
        if step.what == "stored-object":
            files = self._stored(taken)
        else:
            files = self._waiting(taken, MEDIA if step.what == "spool-media" else ITEM)
        if len(files) < step.calls:
            raise StepFailed(
                f"{step.what} of {step.calls} recordings should be damaged, and there are"
                f" {len(files)}"
            )
        for file in files[: step.calls]:
            if step.what == "spool-metadata":
                file.write_bytes(_GARBAGE)
            else:
                file.unlink()

    def _stored(self, calls: Sequence[str]) -> list[Path]:
        files = (path for path in self._folder.store.rglob("*") if path.is_file())
        return sorted(path for path in files if path.name.startswith(tuple(calls)))

    def _waiting(self, calls: Sequence[str], name: str) -> list[Path]:
        spool = SpoolFolders(self._folder.root / "spool")
        states = of_calls(spool_states(self._folder), calls)
        ready = sorted(item for item, state in states.items() if state is State.READY)
        return [spool.folder(item, State.READY) / name for item in ready]


def _put(profile: JsonDict, section: str, option: str, value: str | None) -> None:
    options = profile["sections"].setdefault(section, {})
    if value is None:
        options.pop(option, None)
    else:
        options[option] = value

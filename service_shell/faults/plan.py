"""A fault plan: a seed and a list of faults, as a TOML file or a JSON body has them.

One plan may be for a whole lab; each service takes from it the faults that it has.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from service_shell.faults.fault import Fault

_MOST_FAULTS = 200
_LARGEST_FILE = 256 * 1024


class FaultPlanError(ValueError):
    """The plan cannot be used; one sentence says why."""


class FaultPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is broken on purpose. The same seed and the same operations give the same faults."""

    seed: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 0
    faults: Annotated[list[Fault], Meta(max_length=_MOST_FAULTS)] = []

    def __post_init__(self) -> None:
        names = [fault.name for fault in self.faults if fault.name]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two faults are named {name!r}")

    @property
    def named(self) -> list[Fault]:
        """The faults; those without a name have one of their number, such as ``store-2``."""
        return [
            msgspec.structs.replace(fault, name=fault.name or f"{fault.target}-{number}")
            for number, fault in enumerate(self.faults, 1)
        ]

    def only(self, *targets: str) -> FaultPlan:
        """Return the plan with the faults on `targets` only, under their names in this plan."""
        return FaultPlan(seed=self.seed, faults=[f for f in self.named if f.target in targets])

    def with_fault(self, fault: Fault) -> FaultPlan:
        """Return the plan with one more fault, which gets a free name where it has none.

        Raises `FaultPlanError` when its name is taken, or the plan has too many.
        """
        taken = {each.name for each in self.faults}
        if fault.name in taken:
            raise FaultPlanError(f"there is a fault named {fault.name!r} already")
        if len(self.faults) >= _MOST_FAULTS:
            raise FaultPlanError(f"a plan has at most {_MOST_FAULTS} faults")
        free = (f"{fault.target}-{number}" for number in count(len(self.faults) + 1))
        name = fault.name or next(name for name in free if name not in taken)
        added = msgspec.structs.replace(fault, name=name)
        return FaultPlan(seed=self.seed, faults=[*self.faults, added])


def read_plan(file: Path) -> FaultPlan:
    """Return the plan in a TOML file. Raises `FaultPlanError`."""
    try:
        with file.open("rb") as opened:
            text = opened.read(_LARGEST_FILE + 1)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise FaultPlanError(f"the fault plan {file} cannot be read: {reason}") from None
    if len(text) > _LARGEST_FILE:
        raise FaultPlanError(f"the fault plan {file} is above {_LARGEST_FILE} bytes")
    try:
        return msgspec.toml.decode(text, type=FaultPlan)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise FaultPlanError(f"the fault plan {file} is no plan: {error}") from None


def decode_plan(body: bytes) -> FaultPlan:
    """Return the plan in a JSON body. Raises `FaultPlanError`."""
    try:
        return msgspec.json.decode(body, type=FaultPlan)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise FaultPlanError(f"the body is no fault plan: {error}") from None


def decode_fault(body: bytes) -> Fault:
    """Return the fault in a JSON body. Raises `FaultPlanError`."""
    try:
        fault: Fault = msgspec.json.decode(body, type=Fault)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise FaultPlanError(f"the body is no fault: {error}") from None
    return fault

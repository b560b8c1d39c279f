"""Whether a service can be broken on purpose at all, and by which plan from its start."""

from __future__ import annotations

from pathlib import Path

import msgspec
import structlog

from service_shell.faults.plan import FaultPlanError, read_plan
from service_shell.faults.switch import FaultSwitch
from service_shell.settings import SettingsError

_log = structlog.get_logger()


class FaultSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[faults]``: off unless `enabled`; `file` is a plan that is in force from the start."""

    enabled: bool = False
    file: str = ""


def open_switch(settings: FaultSettings, target: str) -> FaultSwitch | None:
    """Return the switch of the service `target`, or None where faults are not enabled.

    Raises `SettingsError` for a plan that cannot be used, or that would not be.
    """
    if not settings.enabled:
        if settings.file:
            raise SettingsError("`faults.file` names a plan, but `faults.enabled` is false")
        return None
    switch = FaultSwitch(target)
    _log.warning(
        "FAULTS ON PURPOSE ARE ENABLED: whoever has the role faults can break this service",
        target=target,
    )
    if settings.file:
        _put_file(switch, Path(settings.file))
    return switch


def _put_file(switch: FaultSwitch, file: Path) -> None:
    try:
        plan = read_plan(file)
    except FaultPlanError as error:
        raise SettingsError(f"`faults.file`: {error}") from None
    switch.put(plan)
    names = [fault.name for fault in switch.run.plan.faults] if switch.run else []
    _log.warning("A fault plan is in force from the start", file=str(file), faults=names)

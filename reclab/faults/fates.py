"""What ``reclab recover`` says of a scenario's recordings, and its repairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from reclab.faults.outcome import Fate
from reclab.preparation import LabFolder
from reclab.recover.run import RecoveryOptions, run_recovery


@dataclass(frozen=True)
class Fates:
    """The class and the cause of each recording that is not where it belongs."""

    found: Mapping[str, tuple[Fate, str]] = field(default_factory=dict)

    @classmethod
    async def ask(cls, folder: LabFolder) -> Self:
        """Look at the whole lab, and change nothing. Raises `SettingsError`."""
        report = await run_recovery(folder.root, RecoveryOptions(dry_run=True))
        return cls(
            {
                # What nobody can read tells no recording: its item in the spool is named after it.
                finding.recording or finding.media: (
                    "recoverable" if finding.recoverable else "unrecoverable",
                    finding.cause,
                )
                for finding in report.findings
            }
        )

    def of(self, call: str) -> tuple[Fate, str]:
        """Return the class and the cause of a call's recording; empty where it is well."""
        told = (fate for name, fate in self.found.items() if name.startswith(call))
        return next(told, ("", ""))


async def repair(folder: LabFolder) -> None:
    """Repair what can be repaired. Raises `SettingsError`."""
    await run_recovery(folder.root)

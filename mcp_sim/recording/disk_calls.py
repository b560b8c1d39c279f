"""The calls by which recordings reach the disk, and a disk that fails on purpose.

A process that may not be broken uses `DISK`, which is the operating system's own calls.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from service_shell.faults import FaultPlan, PlanRun, PlatformFault


@dataclass(frozen=True)
class DiskCalls:
    """How bytes are written (as `os.write`) and made stable (as `os.fsync`). Raise `OSError`."""

    write: Callable[[int, memoryview], int] = os.write
    sync: Callable[[int], None] = os.fsync


DISK = DiskCalls()


class FaultsInForce(msgspec.Struct, frozen=True):
    """A fault plan as a child process gets it: in force since `began` (CLOCK_MONOTONIC, s)."""

    plan: FaultPlan
    began: float


class FaultyDisk:
    """A disk that is full or slow as the faults say which are in force in this process.

    Each process draws for its own writes. A fault that struck goes on striking, or not, when
    further ones are added to the plan.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._run: PlanRun | None = None
        self._full: set[int] = set()
        self.calls = DiskCalls(self._write, self._sync)

    def follow(self, now: FaultsInForce | None) -> None:
        """Put other faults in force, or none."""
        if now is None:
            self._run = None
            return
        run = self._run
        if run is None or run.began != now.began or not _extends(now.plan, run.plan):
            self._run = PlanRun(now.plan, PlatformFault.target, began=now.began)
            return
        for fault in now.plan.faults[len(run.plan.faults) :]:
            run.add(fault, now=now.began)

    def _write(self, descriptor: int, data: memoryview) -> int:
        """As on a disk that becomes full: what still fits is written, the next call fails."""
        if self._run is None:
            return os.write(descriptor, data)
        if descriptor in self._full:
            self._full.discard(descriptor)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._be_slow("write")
        for fault in self._struck("disk-full", "write"):
            fits = int(self._draw(fault) * len(data))
            if not fits:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._full.add(descriptor)
            return os.write(descriptor, data[:fits])
        return os.write(descriptor, data)

    def _sync(self, descriptor: int) -> None:
        self._be_slow("sync")
        os.fsync(descriptor)

    def _be_slow(self, operation: str) -> None:
        for fault in self._struck("slow-disk", operation):
            self._sleep(fault.seconds)

    def _struck(self, kind: str, operation: str) -> list[PlatformFault]:
        if self._run is None:
            return []
        return self._run.strike(
            PlatformFault, lambda fault: fault.kind == kind, now=self._clock(), operation=operation
        )

    def _draw(self, fault: PlatformFault) -> float:
        return 0.0 if self._run is None else self._run.draw(fault)


def _extends(plan: FaultPlan, earlier: FaultPlan) -> bool:
    return plan.seed == earlier.seed and plan.faults[: len(earlier.faults)] == earlier.faults

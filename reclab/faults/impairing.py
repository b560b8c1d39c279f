"""The faults on RTP as the load generator takes them: it impairs whole legs of whole calls."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from mcp_sim.load.impairments import Impairments
from mcp_sim.load.report import CallReport
from mcp_sim.load.signature import LEGS
from service_shell.faults import Fault, RtpFault

#: Fields that the command line has shorter names for.
_LONG: Final = {"jitter": "jitter_ms", "drift": "drift_ppm"}
#: What a receiver, or somebody who listens, can see of an impairment.
_SEEN: Final = ("lost", "duplicated", "reordered", "delayed", "silent", "rebindings", "one_way")


def impaired(calls: Iterable[CallReport]) -> dict[str, int]:
    """Return how many packets of each impaired leg were touched, by a name for the leg's fault."""
    found: dict[str, int] = {}
    for leg in (leg for call in calls for leg in call.legs):
        if (done := leg.impaired) is not None:
            count = sum(int(getattr(done, name)) for name in _SEEN) + len(done.ssrc_changes)
            name = f"rtp of the {leg.leg}"
            found[name] = found.get(name, 0) + count + (done.drift_ppm != 0)
    return found


def impairments(faults: Iterable[Fault]) -> Impairments:
    """Return what goes wrong on each leg; several faults on one leg add up.

    Raises `ValueError` for an impairment that there is not, and for a fault that would end: the
    generator impairs whole calls.
    """
    fields: dict[str, dict[str, Any]] = {}
    for fault in faults:
        if isinstance(fault, RtpFault):
            if fault != RtpFault(name=fault.name, leg=fault.leg, impairment=fault.impairment):
                raise ValueError("a fault on rtp lasts whole calls: it has `leg` and `impairment`")
            for leg in LEGS if fault.leg == "both" else (fault.leg,):
                said = {_LONG.get(name, name): value for name, value in fault.impairment.items()}
                fields.setdefault(leg, {}).update(said)
    try:
        wrong = msgspec.convert(fields, Impairments)
        wrong.check()
    except ValueError as error:
        raise ValueError(f"a fault on rtp: {error}") from None
    return wrong

"""Which legs of a load run's calls are impaired, and what was done to them in all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from mcp_sim.load.signature import LEGS, Leg
from mcp_sim.rtp.impairment import Impairment, ImpairmentError

if TYPE_CHECKING:  # the report has a scenario in it, which has impairments in it
    from mcp_sim.load.report import CallReport


class Impairments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes wrong on each leg of every call."""

    customer: Impairment | None = None
    agent: Impairment | None = None

    def of(self, leg: Leg) -> Impairment | None:
        """Return what goes wrong on a leg."""
        return self.customer if leg == "customer" else self.agent

    def check(self) -> None:
        """Raise `ImpairmentError`, naming the leg, for the first field that makes no sense."""
        for leg in LEGS:
            wrong = self.of(leg)
            if wrong is not None:
                try:
                    wrong.check()
                except ImpairmentError as error:
                    raise ImpairmentError(f"{leg}: {error}") from None


_COUNTS: Final = {
    "lost": "lost",
    "lost_at_ends": "lost at the ends",
    "duplicated": "doubled",
    "reordered": "out of order",
    "delayed": "late",
    "silent": "silent",
    "rebindings": "from another port",
}


def tell_impairments(calls: Iterable[CallReport]) -> Iterator[str]:
    """Yield a line for each leg that was impaired: what was done to it in all calls."""
    calls = list(calls)
    for name in LEGS:
        done = [leg.impaired for call in calls for leg in call.legs if leg.leg == name]
        accounts = [account for account in done if account is not None]
        if not accounts:
            continue
        sums = {text: sum(getattr(a, key) for a in accounts) for key, text in _COUNTS.items()}
        sums["changes of SSRC"] = sum(len(account.ssrc_changes) for account in accounts)
        sums["mute legs"] = sum(account.one_way for account in accounts)
        told = [f"{count} {text}" for text, count in sums.items() if count]
        told += [f"clock {ppm:+g} ppm" for ppm in {a.drift_ppm for a in accounts} if ppm]
        cells = sum(account.cells for account in accounts)
        yield f"{name} impaired on purpose, {cells} packets: {', '.join(told) or 'nothing done'}"

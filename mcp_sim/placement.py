"""Who is heard on the left and who on the right: left is the customer, right the agent.

Pure rules over the legs of a call. What the vendor's documents leave open is defined here, and
described in ``docs/``.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

Channel = Literal["left", "right"]


class PlacedLeg(msgspec.Struct, frozen=True):
    """What placement knows of a leg: its number, and the names that it goes by.

    `label` is the stream's (SIPREC), `aors` the addresses of who is heard on it, `dn` the party's
    (GIR).
    """

    leg: int
    label: str = ""
    aors: tuple[str, ...] = ()
    dn: str = ""


def place_siprec(legs: Sequence[PlacedLeg], left: str) -> dict[int, Channel]:
    """Place SIPREC streams: one leg is left, all others are right.

    Left is the only leg whose participant has a ``tel:`` address or a number for a user; else the
    one that the setting `left` names (a label, or a pattern of an address); else the one with the
    lowest label.
    """
    if not legs:
        return {}
    outside = [leg for leg in legs if any(_is_outside(aor) for aor in leg.aors)]
    chosen = outside[0] if len(outside) == 1 else _named(legs, left)
    if chosen is None:
        chosen = min(legs, key=lambda leg: _label_order(leg.label))
    return {leg.leg: "left" if leg is chosen else "right" for leg in legs}


def place_gir(legs: Sequence[PlacedLeg], parameters: Mapping[str, str]) -> dict[int, Channel]:
    """Place the INVITEs of one conference: right is whose dn is the recorded one, or the agent's.

    Without such a leg the first is left, and whoever has its dn, as a party that left and came
    back; the others are right. A single leg is left unless its dn says otherwise.
    """
    agents = {parameters.get(name, "") for name in ("recordDN", "recorddn", "agentId")} - {""}
    if any(leg.dn in agents for leg in legs):
        return {leg.leg: "right" if leg.dn in agents else "left" for leg in legs}
    first = min(legs, key=lambda leg: leg.leg, default=PlacedLeg(0))
    return {
        leg.leg: "left" if leg is first or (leg.dn and leg.dn == first.dn) else "right"
        for leg in legs
    }


def _is_outside(aor: str) -> bool:
    """Whether an address is a ``tel:`` URI, or has a user of ``+`` and digits."""
    scheme, colon, rest = aor.partition(":")
    if colon and scheme.lower() == "tel":
        return True
    user = (rest if colon else aor).partition("@")[0].partition(";")[0]
    return user.startswith("+") and user[1:].isascii() and user[1:].isdecimal()


def _named(legs: Sequence[PlacedLeg], left: str) -> PlacedLeg | None:
    if not left:
        return None
    for leg in legs:
        if leg.label == left or any(fnmatch.fnmatchcase(aor, left) for aor in leg.aors):
            return leg
    return None


def _label_order(label: str) -> tuple[int, int, str]:
    """Numbers by value and before other labels."""
    return (0, int(label), "") if label.isascii() and label.isdecimal() else (1, 0, label)

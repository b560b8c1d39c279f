"""The listening sockets of a lab, bound before any service starts.

A folder keeps the ports of its first start, because the metadata stored there names them.
"""

from __future__ import annotations

import enum
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

from reclab.preparation import Addresses
from service_shell.listening import bind_pair, bind_tcp, display
from service_shell.settings import SettingsError

USUAL_ADDRESSES = Addresses(
    sip="127.0.0.1:5060",
    control="127.0.0.1:8800",
    store="127.0.0.1:8801",
    processor="127.0.0.1:8802",
    crypto="127.0.0.1:8803",
)
_FREE = Addresses(*(["127.0.0.1:0"] * 5))


class Ports(enum.Enum):
    """Which ports a new lab takes."""

    USUAL = enum.auto()
    FREE = enum.auto()
    USUAL_OR_FREE = enum.auto()


class Doors(NamedTuple):
    """The listening sockets; whoever holds them closes them."""

    sip_udp: socket.socket
    sip_tcp: socket.socket
    control: socket.socket
    store: socket.socket
    processor: socket.socket
    crypto: socket.socket

    @property
    def addresses(self) -> Addresses:
        """Where they are."""
        return Addresses(*(display(door) for door in self[1:]))


def open_doors(kept: Addresses | None, ports: Ports, say: Callable[[str], None]) -> Doors:
    """Bind every door: those that the folder has `kept` from an earlier start, else new ones.

    Raises `SettingsError` where `ports` is `USUAL` and one of them is taken.
    """
    wanted = kept or (_FREE if ports is Ports.FREE else USUAL_ADDRESSES)
    try:
        doors = _bind(wanted)
    except SettingsError as error:
        if ports is Ports.USUAL:
            raise SettingsError(f"{error} (--ephemeral takes free ports)") from None
    else:
        if ports is Ports.USUAL and wanted != USUAL_ADDRESSES:
            say("The ports are those of this folder's first start.")
        return doors
    if kept:
        say("The ports of this folder are taken; what is stored in it stays under the old ones.")
    return _bind(_FREE)


def _bind(at: Addresses) -> Doors:
    with ExitStack() as undo:
        udp, tcp = bind_pair(at.sip)
        undo.enter_context(udp)
        undo.enter_context(tcp)
        rest = []
        for address in (at.control, at.store, at.processor, at.crypto):
            rest.append(undo.enter_context(bind_tcp(address)))
        undo.pop_all()
        return Doors(udp, tcp, *rest)

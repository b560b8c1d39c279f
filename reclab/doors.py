"""The listening sockets of a lab, bound before any service starts.

A folder keeps the ports of its first start, because the metadata stored there names them.
"""

from __future__ import annotations

import enum
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import msgspec

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
USUAL_SIP_TLS = "127.0.0.1:5061"


class Ports(enum.Enum):
    """Which ports a new lab takes."""

    USUAL = enum.auto()
    FREE = enum.auto()
    USUAL_OR_FREE = enum.auto()


@dataclass(frozen=True)
class Doors:
    """The listening sockets; whoever holds them closes them. `sip_tls`: only of a lab with TLS."""

    sip_udp: socket.socket
    sip_tcp: socket.socket
    control: socket.socket
    store: socket.socket
    processor: socket.socket
    crypto: socket.socket
    sip_tls: socket.socket | None = None

    def __iter__(self) -> Iterator[socket.socket]:
        doors = (self.sip_udp, self.sip_tcp, self.control, self.store, self.processor, self.crypto)
        return iter((*doors, self.sip_tls) if self.sip_tls else doors)

    @property
    def addresses(self) -> Addresses:
        """Where they are."""
        return Addresses(
            sip=display(self.sip_tcp),
            control=display(self.control),
            store=display(self.store),
            processor=display(self.processor),
            crypto=display(self.crypto),
            sip_tls=display(self.sip_tls) if self.sip_tls else "",
        )


def open_doors(
    kept: Addresses | None, ports: Ports, say: Callable[[str], None], *, tls: bool = False
) -> Doors:
    """Bind every door: those that the folder has `kept` from an earlier start, else new ones.

    `tls` is whether a new lab has a door for SIP over TLS. Raises `SettingsError` where `ports` is
    `USUAL` and one of them is taken.
    """
    tls = bool(kept.sip_tls) if kept else tls
    free, usual = _FREE, USUAL_ADDRESSES
    if tls:
        free = msgspec.structs.replace(free, sip_tls="127.0.0.1:0")
        usual = msgspec.structs.replace(usual, sip_tls=USUAL_SIP_TLS)
    wanted = kept or (free if ports is Ports.FREE else usual)
    try:
        doors = _bind(wanted)
    except SettingsError as error:
        if ports is Ports.USUAL:
            raise SettingsError(f"{error} (--ephemeral takes free ports)") from None
    else:
        if ports is Ports.USUAL and wanted != usual:
            say("The ports are those of this folder's first start.")
        return doors
    if kept:
        say("The ports of this folder are taken; what is stored in it stays under the old ones.")
    return _bind(free)


def _bind(at: Addresses) -> Doors:
    with ExitStack() as undo:
        udp, tcp = bind_pair(at.sip)
        undo.enter_context(udp)
        undo.enter_context(tcp)
        rest = [
            undo.enter_context(bind_tcp(address))
            for address in (at.control, at.store, at.processor, at.crypto, at.sip_tls)
            if address
        ]
        undo.pop_all()
        return Doors(udp, tcp, *rest)

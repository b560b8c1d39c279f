"""Where the platform is reached: its sockets, and the addresses that Contact and SDP name.

All of it is settled at start; what cannot be used is one sentence.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from mcp_sim.config import CaptureSettings, McpSettings, SipSettings
from mcp_sim.recording.capture.options import CaptureOptions
from service_shell.listening import bind_pair, bind_tcp, bind_udp, display
from service_shell.settings import SettingsError

_WILDCARDS = ("0.0.0.0", "::")  # noqa: S104  # compared, nothing is bound


@dataclass(frozen=True)
class Addresses:
    """Bound sockets, closed at the end of the context at the latest.

    `contact_host` and `media_host` are numeric: what Contact and the SDP's connection line say.
    """

    sip_udp: socket.socket
    sip_tcp: socket.socket
    sip_tls: socket.socket | None
    control: socket.socket
    contact_host: str
    media_host: str
    capture: CaptureOptions

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        for sock in (self.sip_udp, self.sip_tcp, self.sip_tls, self.control):
            if sock is not None:
                sock.close()

    @property
    def sip(self) -> str:
        """``host:port`` of SIP."""
        return display(self.sip_udp)


async def open_addresses(settings: McpSettings) -> Addresses:
    """Bind everything. Raises `SettingsError`."""
    with ExitStack() as stack:
        control = stack.enter_context(bind_tcp(settings.listen))
        udp, tcp = _bind_sip(settings.sip)
        stack.enter_context(udp)
        stack.enter_context(tcp)
        tls = None
        if settings.sip.listen_tls:
            tls = stack.enter_context(bind_tcp(settings.sip.listen_tls))
        name = settings.sip.contact_host or udp.getsockname()[0]
        contact = await _numeric(name, udp.family, "sip.contact_host")
        media = await _media_host(settings.capture, contact, udp.family)
        addresses = Addresses(
            sip_udp=udp,
            sip_tcp=tcp,
            sip_tls=tls,
            control=control,
            contact_host=contact,
            media_host=media,
            capture=_capture_options(settings, media),
        )
        stack.pop_all()  # the caller's from here on
    return addresses


def _bind_sip(sip: SipSettings) -> tuple[socket.socket, socket.socket]:
    if not sip.listen_tcp:
        return bind_pair(sip.listen)
    udp = bind_udp(sip.listen)
    try:
        return udp, bind_tcp(sip.listen_tcp)
    except SettingsError:
        udp.close()
        raise


async def _media_host(capture: CaptureSettings, contact: str, family: int) -> str:
    if not capture.host or capture.host in _WILDCARDS:
        return contact
    return await _numeric(capture.host, family, "capture.host")


async def _numeric(name: str, family: int, setting: str) -> str:
    if name in _WILDCARDS:
        raise SettingsError(f"`{setting}` has to be set: no caller can reach {name}")
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(name, None, family=family, type=socket.SOCK_DGRAM)
    except socket.gaierror:
        raise SettingsError(f"`{setting}`: {name} is not a known host") from None
    return str(found[0][4][0])


def _capture_options(settings: McpSettings, media_host: str) -> CaptureOptions:
    capture = settings.capture
    host = capture.host if capture.host in _WILDCARDS else media_host
    bind_udp(f"[{host}]:0" if ":" in host else f"{host}:0").close()  # can it be bound at all?
    first, last = capture.port_range
    return CaptureOptions(
        host=host,
        first_port=first,
        last_port=last,
        durability=settings.spool.durability,
        faults=settings.faults.enabled,
    )

"""Sockets that a service listens on: bound here, or inherited from the parent by number.

An address is ``host:port`` (``[host]:port`` for IPv6; port 0 lets the kernel choose) or ``fd://N``
for a socket that the parent process bound and passed on, so that a restart loses no client.
"""

from __future__ import annotations

import os
import re
import socket
from urllib.parse import urlsplit

from service_shell.settings import SettingsError

_BACKLOG = 512


def split_address(address: str) -> tuple[str, int]:
    """Return (host, port) of ``host:port``. Raises `SettingsError` when it is not of that form."""
    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or port is None or re.search(r"[/?#@\s]", address):
        raise SettingsError(f"`{address}` is not an address of the form host:port")
    return host, port


def bind_tcp(address: str) -> socket.socket:
    """Return a listening, non-blocking TCP socket for `address`."""
    sock = _inherited(address) or _bound(address, socket.SOCK_STREAM)
    if sock.type != socket.SOCK_STREAM:
        sock.close()
        raise SettingsError(f"`{address}` is not a TCP socket")
    try:
        sock.listen(_BACKLOG)
    except OSError as error:  # taken by a socket that was bound, but did not listen yet
        sock.close()
        raise _unusable("TCP", address, error) from None
    return sock


def bind_udp(address: str) -> socket.socket:
    """Return a bound, non-blocking UDP socket for `address`."""
    sock = _inherited(address) or _bound(address, socket.SOCK_DGRAM)
    if sock.type != socket.SOCK_DGRAM:
        sock.close()
        raise SettingsError(f"`{address}` is not a UDP socket")
    return sock


def bind_pair(address: str) -> tuple[socket.socket, socket.socket]:
    """Return a UDP and a TCP socket on the same host and port, as SIP wants them.

    With port 0 the kernel chooses the TCP port, and another is tried while UDP is taken there.
    """
    host, port = split_address(address)
    for _ in range(64):
        tcp = bind_tcp(address)
        chosen = tcp.getsockname()[1]
        try:
            return bind_udp(f"[{host}]:{chosen}" if ":" in host else f"{host}:{chosen}"), tcp
        except SettingsError:
            tcp.close()
            if port != 0:
                raise
    raise SettingsError(f"`{address}`: no port is free for both UDP and TCP")


def display(sock: socket.socket) -> str:
    """Return the bound ``host:port`` of `sock`, as it stands in a URL."""
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def url_of(sock: socket.socket, *, secure: bool) -> str:
    """Return the URL of what is served on `sock`, without a slash behind it."""
    return f"{'https' if secure else 'http'}://{display(sock)}"


def _inherited(address: str) -> socket.socket | None:
    if not address.startswith("fd://"):
        return None
    number = address.removeprefix("fd://")
    try:
        sock = socket.socket(fileno=int(number))
    except (ValueError, OSError):
        raise SettingsError(f"`{address}` is not an inherited socket") from None
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        sock.close()
        raise SettingsError(f"`{address}` is not a socket of the internet")
    sock.setblocking(False)
    return sock


def _bound(address: str, kind: socket.SocketKind) -> socket.socket:
    host, port = split_address(address)
    try:
        family, *_, where = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)[0]
    except socket.gaierror as error:
        raise SettingsError(f"`{address}`: {host} is not a known host ({error.strerror})") from None
    except UnicodeError:
        raise SettingsError(f"`{address}`: {host} is not a host's name") from None
    sock = socket.socket(family, kind)
    try:
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(where)
    except OSError as error:
        sock.close()
        name = "UDP" if kind == socket.SOCK_DGRAM else "TCP"
        raise _unusable(name, address, error) from None
    sock.setblocking(False)
    return sock


def _unusable(name: str, address: str, error: OSError) -> SettingsError:
    reason = os.strerror(error.errno or 0).lower()
    return SettingsError(f"cannot listen on {name} {address}: {reason}")

"""A phone of text and one socket: it sends exactly what a test wants, right or wrong."""

from __future__ import annotations

import asyncio
import re
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .recorder import WAIT


class Phone:
    """One dialog over UDP with `target`."""

    def __init__(self, sock: socket.socket, target: tuple[str, int]) -> None:
        self._sock = sock
        self._here = "{}:{}".format(*sock.getsockname())
        self._uri = "sip:recorder@{}:{}".format(*target)
        self._call_id = secrets.token_hex(8)
        self._branch = ""
        self._to = ""
        self._sequence = 0

    async def invite(self, body: bytes = b"", *headers: str) -> None:
        """Send an INVITE, or a re-INVITE."""
        self._sequence += 1
        self._branch = f"z9hG4bK{secrets.token_hex(6)}"
        kind = ["Content-Type: application/sdp"] if body else []
        await self._send("INVITE", [*headers, *kind], body, self._branch)

    async def ack(self, body: bytes = b"") -> None:
        """Acknowledge a 2xx."""
        kind = ["Content-Type: application/sdp"] if body else []
        await self._send("ACK", kind, body)

    async def cancel(self) -> None:
        """Take the INVITE back."""
        await self._send("CANCEL", [], b"", self._branch)

    async def bye(self) -> None:
        """Hang up, and wait until the recorder knows."""
        self._sequence += 1
        await self._send("BYE", [], b"")
        assert (await self.final("BYE"))[0] == 200

    async def final(self, method: str = "INVITE") -> tuple[int, str]:
        """Wait for the final response to the newest request of this kind."""
        while True:
            text = await self.receive()
            if text.startswith("SIP/2.0 ") and f" {method}\r\n" in text:
                status = int(text.split(" ", 2)[1])
                if status >= 200:
                    if found := re.search(r"^To:.*?(;tag=[^\s;]+)", text, re.M | re.I):
                        self._to = found[1]
                    return status, text

    async def hung_up(self) -> str:
        """Wait until the recorder hangs up, and answer it; return its BYE."""
        while not (text := await self.receive()).startswith("BYE "):
            pass
        lines = text.split("\r\n")
        kept = [line for line in lines if re.match(r"(?i)(via|from|to|call-id|cseq):", line)]
        answer = "\r\n".join(["SIP/2.0 200 OK", *kept, "Content-Length: 0", "", ""])
        await self._write(answer.encode())
        return text

    async def receive(self) -> str:
        """Wait for the next message."""
        async with asyncio.timeout(WAIT):
            data = await asyncio.get_running_loop().sock_recv(self._sock, 65536)
        return data.decode()

    async def _send(self, method: str, headers: list[str], body: bytes, branch: str = "") -> None:
        lines = [
            f"{method} {self._uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {self._here};branch={branch or 'z9hG4bK' + secrets.token_hex(6)}",
            "Max-Forwards: 70",
            f"From: <sip:phone@{self._here}>;tag=phone",
            f"To: <{self._uri}>{self._to}",
            f"Call-ID: {self._call_id}",
            f"CSeq: {self._sequence} {method}",
            f"Contact: <sip:phone@{self._here}>",
            *headers,
            f"Content-Length: {len(body)}",
        ]
        await self._write("\r\n".join([*lines, "", ""]).encode() + body)

    async def _write(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._sock, data)


@asynccontextmanager
async def phone(target: tuple[str, int]) -> AsyncIterator[Phone]:
    """A phone on a port of its own."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind(("127.0.0.1", 0))
        sock.connect(target)
        yield Phone(sock, target)


def description(text: str) -> bytes:
    """The body of a message."""
    return text.partition("\r\n\r\n")[2].encode()

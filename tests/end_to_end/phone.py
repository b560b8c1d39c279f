"""A bare SIP phone of a few lines, which shares no code with the product: text and sockets."""

from __future__ import annotations

import math
import re
import secrets
import socket
import struct
import threading
import time
from collections.abc import Sequence

import numpy as np

PACKET = 160
SECONDS = 0.02


def alaw_tone(hertz: float, packets: int) -> list[bytes]:
    """A tone of half scale as A-law packets of 20 ms (ITU-T G.711, by the textbook)."""
    times = np.arange(packets * PACKET) / 8000
    linear = np.round(16000 * np.sin(2 * math.pi * hertz * times)).astype(int)
    encoded = bytes(_alaw(int(value)) for value in linear)
    return [encoded[n : n + PACKET] for n in range(0, len(encoded), PACKET)]


def _alaw(sample: int) -> int:
    sign = 0x80 if sample >= 0 else 0x00
    magnitude = min(abs(sample if sample >= 0 else sample + 1) >> 3, 0xFFF)
    exponent = max(magnitude.bit_length() - 5, 0)
    mantissa = (magnitude >> max(exponent, 1)) & 0x0F
    segment = exponent if magnitude >= 32 else (1 if magnitude >= 16 else 0)
    return (sign | segment << 4 | mantissa) ^ 0x55


class Phone:
    """One dialog over UDP with `target` (``host:port``)."""

    def __init__(self, target: str, uri: str = "", *, source: str = "127.0.0.1") -> None:
        host, _, port = target.rpartition(":")
        self.uri = uri or f"sip:recorder@{target}"
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind((source, 0))
        self._sock.connect((host, int(port)))
        self._sock.settimeout(10)
        self._here = f"{source}:{self._sock.getsockname()[1]}"
        self._call_id = secrets.token_hex(8)
        self._tag = secrets.token_hex(4)
        self._to = ""
        self._remote = self.uri
        self._sequence = 0
        self.ports: list[int] = []

    def invite(
        self, body: str, *headers: str, content_type: str = "application/sdp"
    ) -> tuple[int, str]:
        """Send an INVITE; acknowledge what comes; return the status and the whole answer."""
        self._sequence += 1
        self._send("INVITE", [*headers, f"Content-Type: {content_type}"], body)
        status, answer = self._final()
        if match := re.search(r"^To:.*?;tag=([^\s;]+)", answer, re.MULTILINE | re.IGNORECASE):
            self._to = f";tag={match[1]}"
        if status < 300 and (found := re.search(r"^Contact:.*?<([^>]+)>", answer, re.M | re.I)):
            self._remote = found[1]
        self._send("ACK", [], "")
        self.ports = [int(p) for p in re.findall(r"^m=audio (\d+)", answer, re.MULTILINE)]
        return status, answer

    def refused(self, body: str, *headers: str) -> tuple[int, str]:
        """Send an INVITE that is refused; put the phone away; return as `invite` does."""
        with self._sock:
            return self.invite(body, *headers)

    def request(self, method: str, *headers: str, body: str = "") -> int:
        """Send a request within the dialog; return the final status."""
        self._sequence += 1
        self._send(method, list(headers), body)
        return self._final()[0]

    def hung_up(self) -> str:
        """Wait until the other side hangs up; put the phone away unanswered; return its BYE."""
        with self._sock:
            while not (said := self._sock.recv(65536).decode()).startswith("BYE "):
                pass
            return said

    def bye(self) -> int:
        """Hang up, and put the phone away; return the final status."""
        with self._sock:
            return self.request("BYE")

    def _send(self, method: str, headers: list[str], body: str) -> None:
        lines = [
            f"{method} {self._remote} SIP/2.0",
            f"Via: SIP/2.0/UDP {self._here};branch=z9hG4bK{secrets.token_hex(6)}",
            "Max-Forwards: 70",
            f"From: <sip:phone@{self._here}>;tag={self._tag}",
            f"To: <{self.uri}>{self._to}",
            f"Call-ID: {self._call_id}",
            f"CSeq: {self._sequence} {method}",
            f"Contact: <sip:phone@{self._here}>",
            *headers,
            f"Content-Length: {len(body.encode())}",
        ]
        self._sock.send(("\r\n".join(lines) + "\r\n\r\n" + body).encode())

    def _final(self) -> tuple[int, str]:
        while True:
            answer = self._sock.recv(65536).decode()
            status = int(answer.split(" ", 2)[1])
            if status >= 200 and f"CSeq: {self._sequence} " in answer:
                return status, answer


def sdp(*labels: str, port: int = 40000, direction: str = "sendonly") -> str:
    """An offer of PCMA, one line per label."""
    lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0"]
    for number, label in enumerate(labels):
        lines += [f"m=audio {port + 2 * number} RTP/AVP 8", f"a={direction}"]
        lines += [f"a=label:{label}"] if label else []
    return "\r\n".join(lines) + "\r\n"


def speak(tones: Sequence[tuple[int, float, float]], seconds: float) -> None:
    """Send a tone to each (port, hertz, delay in seconds) at once, until `seconds` are over."""
    began = time.monotonic()
    threads = [
        threading.Thread(target=_speak, args=(port, hertz, began + delay, began + seconds))
        for port, hertz, delay in tones
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _speak(port: int, hertz: float, start: float, end: float) -> None:
    packets = alaw_tone(hertz, int((end - start) / SECONDS))
    ssrc, first = secrets.randbits(32), secrets.randbits(32)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for number, payload in enumerate(packets):
            time.sleep(max(0.0, start + number * SECONDS - time.monotonic()))
            timestamp = (first + number * PACKET) & 0xFFFFFFFF
            head = struct.pack("!BBHII", 0x80, 8, number & 0xFFFF, timestamp, ssrc)
            sock.sendto(head + payload, ("127.0.0.1", port))

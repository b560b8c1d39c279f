"""Playing a large recording: whole against `openssl cms -decrypt`, and from somewhere in it.

Both decrypt the same file in turns, in one run on one machine, to a file and to nowhere. What comes
over HTTP has passed the store, the processor and the crypto server, and every chunk was checked
against its digest; `openssl` reads the ciphertext from the disk's cache and checks nothing.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import statistics
import subprocess
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from reclab.bench.large_recording import LargeRecording, file_large_recording
from reclab.bench.sampling import peak_mib, processes_of
from reclab.doors import Ports
from reclab.lab import Lab
from reclab.preparation import RecordingOptions
from reclab.running import running_lab
from service_shell.accounts import basic_header
from service_shell.settings import SettingsError

STARTS = (0, 50, 99)
_ROUNDS = 7
_STARTS_EACH = 15
_BUFFER = 1 << 20
_SECONDS = 60.0


class PlaybackResult(NamedTuple):
    """Seconds of whole decryptions (median), and until the first byte of a part by its start."""

    size: int
    openssl: float
    crypto: float
    openssl_nowhere: float
    crypto_nowhere: float
    first_byte: dict[int, float]
    memory_mib: float

    @property
    def ratio(self) -> float:
        """The crypto server's speed as a share of openssl's, both writing a file."""
        return self.openssl / self.crypto

    @property
    def ratio_nowhere(self) -> float:
        """The same with nothing written."""
        return self.openssl_nowhere / self.crypto_nowhere


async def measure_playback(folder: Path, size: int) -> PlaybackResult:
    """Bring a lab up below `folder`, put a recording of `size` bytes into it, and play it."""
    options = RecordingOptions()
    async with running_lab(folder / "lab", options, ports=Ports.FREE, say=lambda _: None) as lab:
        certificates = sorted((folder / "lab" / "certificates").glob("recording-*.pem"))
        recording = await file_large_recording(lab, certificates, folder, size)
        return await asyncio.to_thread(_measure, lab, recording, folder)


def _measure(lab: Lab, recording: LargeRecording, folder: Path) -> PlaybackResult:
    nowhere = Path(os.devnull)
    ours, theirs = folder / "ours.wav", folder / "theirs.wav"
    _fetch(lab, recording, ours)
    _openssl(recording, theirs)
    if not _same(ours, theirs) or theirs.stat().st_size != recording.size:
        raise SettingsError("the crypto server and openssl decrypted to different contents")
    times: dict[str, list[float]] = {name: [] for name in ("oo", "on", "co", "cn")}
    for _ in range(_ROUNDS):
        times["oo"].append(_openssl(recording, theirs))
        times["co"].append(_fetch(lab, recording, ours).whole)
        times["on"].append(_openssl(recording, nowhere))
        times["cn"].append(_fetch(lab, recording, nowhere).whole)
    median = {name: statistics.median(found) for name, found in times.items()}
    first_byte = {
        start: statistics.median(
            _fetch(lab, recording, nowhere, start=recording.size * start // 100).first_byte
            for _ in range(_STARTS_EACH)
        )
        for start in STARTS
    }
    memory = sum(peak_mib(pid) for pid in processes_of("crypto_server"))
    return PlaybackResult(
        recording.size, median["oo"], median["co"], median["on"], median["cn"], first_byte, memory
    )


def _openssl(recording: LargeRecording, out: Path) -> float:
    program = shutil.which("openssl")
    if program is None:
        raise SettingsError("openssl is not installed: there is nothing to compare with")
    command: list[str | Path] = [
        program, "cms", "-decrypt", "-inform", "PEM", "-in", recording.envelope, "-content",
        recording.ciphertext, "-inkey", recording.key, "-binary", "-out", out,
    ]  # fmt: skip
    began = time.perf_counter()
    done = subprocess.run(command, check=False, timeout=_SECONDS)  # noqa: S603 - no shell
    if done.returncode:
        raise SettingsError("openssl does not decrypt the recording")
    return time.perf_counter() - began


class _Fetched(NamedTuple):
    first_byte: float
    whole: float


def _fetch(lab: Lab, recording: LargeRecording, out: Path, *, start: int | None = None) -> _Fetched:
    """Play the recording into `out`; with `start` only the first piece from there."""
    server = urlsplit(lab.crypto)
    listener = lab.users["listener"]
    request = (
        f"GET /rcs{recording.play_path} HTTP/1.1\r\nHost: {server.netloc}\r\n"
        f"Authorization: {basic_header(listener.name, listener.password)}\r\n"
    ) + ("" if start is None else f"Range: bytes={start}-\r\n")
    buffer = bytearray(_BUFFER)
    address = (server.hostname or "", server.port or 0)
    with socket.create_connection(address, _SECONDS) as sock, out.open("wb") as file:
        began = time.perf_counter()
        sock.sendall(f"{request}\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head or head.endswith(b"\r\n\r\n"):
            came = sock.recv(4096)
            if not came:
                raise SettingsError("the crypto server broke the playback off")
            head += came
        first_byte = time.perf_counter() - began
        status, _, rest = head.partition(b"\r\n\r\n")
        if status.split()[1] != (b"200" if start is None else b"206"):
            raise SettingsError("the crypto server does not play the recording")
        if start is not None:
            return _Fetched(first_byte, first_byte)
        file.write(rest)
        got = len(rest)
        while got < recording.size:
            count = sock.recv_into(buffer)
            if not count:
                raise SettingsError("the crypto server broke the playback off")
            file.write(memoryview(buffer)[:count])
            got += count
    return _Fetched(first_byte, time.perf_counter() - began)


def _same(one: Path, other: Path) -> bool:
    with one.open("rb") as first, other.open("rb") as second:
        while True:
            piece = first.read(_BUFFER)
            if piece != second.read(_BUFFER):
                return False
            if not piece:
                return True

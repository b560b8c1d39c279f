"""A lab that a test started with ``reclab up``, seen only through its doors.

HTTP by the standard library, decryption by the `openssl` program: nothing of the product checks
itself here.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import wave
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.peers import peer

START_SECONDS = 60.0
RECLAB = (sys.executable, "-m", "reclab")


def wait_until(condition: Callable[[], bool], what: str, *, seconds: float = 30.0) -> None:
    """Return when `condition` holds; fail naming `what` after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} did not happen within {seconds:.0f} s"
        time.sleep(0.05)


class LabUnderTest:
    """A running lab: its description, its process, and what a client can ask it."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self.process = process
        self.lab: dict[str, Any] = json.loads((folder / "lab.json").read_text())
        ca_file = self.lab["services_ca"]
        self._trust = ssl.create_default_context(cafile=ca_file) if ca_file else None

    @property
    def sip(self) -> str:
        """Where calls go."""
        return str(self.lab["sip"])

    def get(self, url: str, role: str | None) -> tuple[int, bytes]:
        """GET `url` as `role`; return status and body."""
        return self.request("GET", url, role)

    def request(
        self, method: str, url: str, role: str | None, body: bytes | None = None
    ) -> tuple[int, bytes]:
        """Send a request as `role` (None: nobody); return status and body."""
        request = urllib.request.Request(url, method=method, data=body)
        if role is not None:
            user = self.lab["users"][role]
            pair = base64.b64encode(f"{user['name']}:{user['password']}".encode()).decode()
            request.add_header("Authorization", f"Basic {pair}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=30, context=self._trust) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def recordings(self) -> list[dict[str, Any]]:
        """All recordings that the processor finds, newest first."""
        found: list[dict[str, Any]] = []
        query = {"startTime": "2000-01-01T00:00:00Z"}
        while query:
            url = f"{self.lab['processor']}/api/v2/recordings?{urllib.parse.urlencode(query)}"
            status, body = self.get(url, "operator")
            assert status == 200, body
            page = json.loads(body)
            found += page["recordings"]
            query = {"next": page["next"]} if page.get("next") else {}
        return found

    def wait_for_recordings(self, count: int, *, seconds: float = 60.0) -> list[dict[str, Any]]:
        """Wait until `count` recordings are found; return them."""
        wait_until(lambda: len(self.recordings()) >= count, f"recording {count}", seconds=seconds)
        found = self.recordings()
        assert len(found) == count
        return found

    def stored(self, media: dict[str, Any]) -> bytes:
        """The stored object of a media file, as the store gives it to an operator."""
        status, body = self.get(media["originalMediaDescriptor"]["path"], "operator")
        assert status == 200, body
        return body

    def opened(self, media: dict[str, Any], scratch: Path, key: Path | None = None) -> bytes:
        """The plaintext of a media file, opened by `openssl cms` with one recipient's key."""
        envelope, content, audio = (scratch / n for n in ("envelope.pem", "file.bin", "audio"))
        envelope.write_text(media["pkcs7"])
        content.write_bytes(self.stored(media))
        key = key or Path(self.lab["keys"][media["certAlias"][0]])
        run(
            peer("openssl"), "cms", "-decrypt", "-inform", "PEM", "-in", envelope,
            "-content", content, "-inkey", key, "-binary", "-out", audio,
        )  # fmt: skip
        return audio.read_bytes()

    def reclab(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run a `reclab` command on this lab's folder."""
        command = [*RECLAB, *map(str, arguments), "--data", str(self.folder)]
        return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)

    def reclab_load(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run ``reclab load`` against this lab, which may refuse."""
        command = [*RECLAB, "load", "--target", self.sip, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)

    def load(self, *arguments: object) -> dict[str, Any]:
        """Run ``reclab load`` against this lab; return its report."""
        report = self.folder / f"load-{time.monotonic_ns()}.json"
        command = ["load", "--target", self.sip, "--report", report, *arguments]
        done = subprocess.run(
            [*RECLAB, *map(str, command)], capture_output=True, text=True, timeout=180, check=False
        )
        assert done.returncode == 0, done.stderr
        loaded: dict[str, Any] = json.loads(report.read_text())
        return loaded


@contextmanager
def lab_up(folder: Path, *options: str, wrapper: Sequence[str] = ()) -> Iterator[LabUnderTest]:
    """Start ``reclab up`` in `folder` on free ports, behind a `wrapper`; end it in order."""
    command = [*wrapper, *RECLAB, "up", "--data", str(folder), "--ephemeral", *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        wait_until(
            lambda: (folder / "lab.json").exists() or process.poll() is not None,
            "the lab's start",
            seconds=START_SECONDS,
        )
        assert process.poll() is None, said(process)
        yield LabUnderTest(folder, process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise


def said(process: subprocess.Popen[bytes]) -> str:
    """What an ended process wrote to standard error."""
    return (process.stderr.read() if process.stderr else b"").decode(errors="replace")


def run(*command: object, cwd: Path | None = None, seconds: float = 120) -> bytes:
    """Run a program that has to succeed; return its standard output."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, timeout=seconds, cwd=cwd, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")[-2000:]
    return done.stdout


def samples(audio: bytes) -> npt.NDArray[np.int16]:
    """The samples of a 16-bit WAV file: channels × samples."""
    with wave.open(BytesIO(audio)) as file:
        assert (file.getsampwidth(), file.getframerate()) == (2, 8000)
        frames = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        assert len(frames) == file.getnframes() * file.getnchannels()
        return frames.reshape(-1, file.getnchannels()).T


def children_of(pid: int) -> list[int]:
    """All living descendants of a process."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])

    def below(parent: int) -> list[int]:
        own = [child for child, its_parent in parents.items() if its_parent == parent]
        return own + [further for child in own for further in below(child)]

    return below(pid)


def command_of(pid: int) -> str:
    """A process's command line, empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except FileNotFoundError:
        return ""


def kill_now(pids: list[int]) -> None:
    """kill -9, for processes that the test started."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue

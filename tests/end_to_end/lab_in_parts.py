"""A lab whose services a test stops and starts one by one, on the addresses that it began with."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.end_to_end.lab_under_test import RECLAB, LabUnderTest, run

MODULES = {
    "store": "webdav_store",
    "processor": "recording_processor",
    "crypto": "crypto_server",
    "mcp": "mcp_sim",
}
PARTS = tuple(MODULES)


class LabInParts(LabUnderTest):
    """A prepared lab; `environment` is given to each service that is started."""

    def __init__(self, folder: Path) -> None:
        addresses = _free_addresses(5)
        names = ("sip", "control", "store", "processor", "crypto")
        options = [f"--{name}={at}" for name, at in zip(names, addresses, strict=True)]
        run(*RECLAB, "prepare", "--data", folder, *options)
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        super().__init__(folder, subprocess.Popen(["true"]))
        self.process.wait()

    @property
    def spool(self) -> Path:
        """Where recordings wait."""
        return self.folder / "spool"

    def start(self, *names: str, **environment: str) -> None:
        """Start these services; return when they are ready."""
        for name in names:
            log = (self.folder / f"{name}.log").open("ab")
            with log:
                self.running[name] = subprocess.Popen(
                    [sys.executable, "-m", MODULES[name],
                     "--config", str(self.folder / "etc" / f"{name}.toml")],
                    stdout=subprocess.PIPE, stderr=log, env={**os.environ, **environment},
                )  # fmt: skip
        for name in names:
            ready = self.running[name].stdout
            assert ready is not None
            assert b"ready" in ready.readline(), (self.folder / f"{name}.log").read_text()[-2000:]

    def stop(self, *names: str, kill: bool = False) -> None:
        """Stop these services, in order or by kill -9; return when they have ended."""
        ending = [self.running.pop(name) for name in names if name in self.running]
        for process in ending:
            (process.kill if kill else process.terminate)()
        for process in ending:
            process.communicate(timeout=60)


@contextmanager
def lab_in_parts(folder: Path) -> Iterator[LabInParts]:
    """A prepared lab with nothing running; what was started is ended at the end."""
    lab = LabInParts(folder)
    try:
        yield lab
    finally:
        lab.stop(*reversed(PARTS))


def _free_addresses(count: int) -> list[str]:
    """Addresses that are free, below those that the kernel gives to clients: they stay so while a
    service is down.
    """
    found: list[str] = []
    for port in random.sample(range(20_000, 32_000), 200):
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(f"127.0.0.1:{port}")
        if len(found) == count:
            return found
    raise AssertionError("there are no free ports")

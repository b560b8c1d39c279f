"""The four services as processes of a test, with an account of each role on every one of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import tomli_w

from reclab.preparation import FIRST_OPTIONS, Addresses, LabFolder, prepare
from service_shell.accounts import basic_header, hash_password

ROLES = ("mcp", "operator", "listener", "admin", "processor", "crypto", "faults")
PASSWORD = "one password for every role"
SERVICES = ("store", "processor", "crypto", "mcp")
_HASH = hash_password(PASSWORD)
_MODULES = {
    "store": "webdav_store",
    "processor": "recording_processor",
    "crypto": "crypto_server",
    "mcp": "mcp_sim",
}


def sign_in(*, role: str | None) -> dict[str, str]:
    """Return the header of an account; its name is the role's. None: nobody."""
    return {} if role is None else {"Authorization": basic_header(role, PASSWORD)}


@dataclass(frozen=True)
class FourServices:
    """Where the services answer: scheme, host and port by service, and their folder."""

    folder: Path
    urls: Mapping[str, str]

    def alive(self) -> bool:
        """Whether every log is free of tracebacks."""
        return not any("Traceback" in log.read_text() for log in self.folder.glob("*.log"))


@contextmanager
def four_services(folder: Path) -> Iterator[FourServices]:
    """Prepare a lab in `folder`, start its services on free ports, end them in order."""
    nowhere = Addresses(*["127.0.0.1:9"] * 5)
    lab = LabFolder(folder / "lab")
    prepare(lab, nowhere, FIRST_OPTIONS)
    urls: dict[str, str] = {}
    with ExitStack() as running:
        for service in SERVICES:
            _settle(lab, service, urls)
            urls[service] = running.enter_context(_process(folder, lab, service))
        yield FourServices(folder, urls)


def _settle(lab: LabFolder, service: str, urls: Mapping[str, str]) -> None:
    """Give the service an account for each role, and tell it where the others are."""
    file = lab.settings / f"{service}.toml"
    settings = tomllib.loads(file.read_text())
    settings["listen"] = "127.0.0.1:0"
    if "sip" in settings:
        settings["sip"]["listen"] = "127.0.0.1:0"
    settings["accounts"] = [
        {"name": role, "roles": [role], "password_hash": _HASH} for role in ROLES
    ]
    for client in settings.keys() & {"processor"}:
        lab.password_file(settings[client]["user"]).write_text(PASSWORD)
        settings[client]["url"] = urls["processor"]
    for storage in settings.get("storages", ()):
        lab.password_file(storage["name"]).write_text(PASSWORD)
        storage["url"] = f"{urls['store']}/recordings"
    file.write_text(tomli_w.dumps(settings))


@contextmanager
def _process(folder: Path, lab: LabFolder, service: str) -> Iterator[str]:
    config = lab.settings / f"{service}.toml"
    with (folder / f"{service}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", _MODULES[service], "--config", str(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, "RECLAB_PARENT_PIPE": "stdin"},
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        said = json.loads(process.stdout.readline())["ready"]
        url = said["control" if service == "mcp" else service]
        yield url.removesuffix("/recordings")
    finally:
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(60)
        finally:
            process.kill()

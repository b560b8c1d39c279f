"""Archiving many recordings of 1 MB, measured: ``python -m tests.reclab.archive.many 2000``.

A processor and a store in processes of their own, then the real command against them, as folders
and as a zip. Says how much memory command and processor held at most, and opens the archived files
with the documents' command.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import tomli_w

from service_shell.accounts import basic_header, hash_password
from tests.reclab.archive.archive_lab import peak_of
from tests.recording_processor.archived import START, made, write_key
from tests.recording_processor.samples import CCID, DOMAIN

#: The most that the command may hold, and by how much the processor may grow, in MB.
COMMAND_MB = 100.0
GROWTH_MB = 30.0
_SIZE = 1_000_000
_PATIENCE = 600.0
# A process begins with the peak of the one that started it, so a small one has to start it.
_MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
sys.stderr.write(f"{resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss}\\n")
sys.exit(code)
"""
_ROLES = ("mcp", "operator", "processor")


class Measured(NamedTuple):
    """One run of the command: peaks in MB, and what it reported."""

    form: str
    command_mb: float
    before_mb: float
    processor_mb: float
    seconds: float
    report: dict[str, Any]

    @property
    def bounded(self) -> bool:
        """Whether both stayed within their bounds."""
        growth = self.processor_mb - self.before_mb
        return self.command_mb < COMMAND_MB and growth < GROWTH_MB

    def __str__(self) -> str:
        return (
            f"{self.form}: {self.report['recordings']} recordings in {self.seconds:.1f} s; "
            f"peak memory: command {self.command_mb:.1f} MB, "
            f"processor {self.before_mb:.1f} MB before, {self.processor_mb:.1f} MB at most"
        )


class ManyRecordings:
    """Services with many recordings, which all have the same sound; `folder` holds everything."""

    def __init__(self, folder: Path, processor: subprocess.Popen[bytes], url: str) -> None:
        self.folder = folder
        self.processor = processor
        self.url = url
        self.sound = b""

    def fill(self, count: int, store: str) -> None:
        """Store one object and file it as `count` recordings."""
        file = made("R", store.removesuffix("/recordings"), size=_SIZE)
        self.sound = file.sound
        _ask("PUT", str(file.media["mediaDescriptor"]["path"]), "mcp", file.stored)
        posts = f"{self.url}/api/contact-centers/{DOMAIN}/recordings"
        for number in range(count):
            name = f"R{number:06}"
            stop = (START + timedelta(seconds=number)).isoformat().replace("+00:00", "Z")
            other = {
                "mediaId": f"{name}.wav",
                "stopTime": stop,
                "parameters": {**file.media["parameters"], "id": name},
            }
            _ask("POST", posts, "mcp", json.dumps({"mediaFiles": [file.media | other]}).encode())

    def archive(self, form: str) -> Measured:
        """Run the real command, as ``folders`` or ``zip``."""
        password = self.folder / "operator.password"
        password.write_text("operator-secret")
        command: list[str | Path] = [
            sys.executable, "-m", "reclab", "archive", "--json", "--out", self.folder / form,
            "--url", self.url, "--password-file", password, *(["--zip"] if form == "zip" else []),
        ]  # fmt: skip
        # Checking a password takes 16 MB for a moment, whatever is asked for then.
        _ask("HEAD", f"{self.url}/lab/archive.zip?tenant=nobody", "operator", None)
        before_mb = peak_of(self.processor.pid)
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-S", "-c", _MEASURE, *command], capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        seconds = time.monotonic() - began
        command_mb = int(done.stderr.splitlines()[-1]) * 1024 / 1e6
        processor_mb = peak_of(self.processor.pid)
        return Measured(form, command_mb, before_mb, processor_mb, seconds, json.loads(done.stdout))

    def open_files(self, root: Path, openssl: Path, *, most: int) -> int:
        """Open archived files by the documents' command; return how many were right."""
        key, out, opened = write_key(self.folder), self.folder / "opened", 0
        for path in sorted(root.rglob("*.bin"))[:most]:
            command: list[str | Path] = [openssl, "smime", "-decrypt", "-inform", "DER"]
            command += ["-in", path, "-inkey", key, "-out", out]
            subprocess.run(command, check=True)
            assert out.read_bytes() == self.sound, path
            opened += 1
        return opened


@contextmanager
def many_recordings(folder: Path, count: int) -> Iterator[ManyRecordings]:
    """Start a store and a processor in `folder`, and fill them."""
    accounts = [
        {"name": role, "roles": [role], "password_hash": hash_password(f"{role}-secret")}
        for role in _ROLES
    ]
    store_settings = {"root": str(folder / "store"), "accounts": accounts}
    with _service("webdav_store", folder, store_settings) as (_, store):
        password = folder / "processor.password"
        password.write_text("processor-secret")
        settings = {
            "catalogue": str(folder / "catalogue.sqlite3"),
            "contact_center": {"domain": DOMAIN, "ccid": CCID},
            "accounts": accounts,
            "storages": [{"url": store, "name": "processor", "password_file": str(password)}],
        }
        with _service("recording_processor", folder, settings) as (processor, url):
            many = ManyRecordings(folder, processor, url)
            many.fill(count, store)
            yield many


@contextmanager
def _service(
    module: str, folder: Path, settings: Mapping[str, object]
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    config = folder / f"{module}.toml"
    config.write_text(tomli_w.dumps({"listen": "127.0.0.1:0", **settings}))
    with (folder / f"{module}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, "--config", config], stdout=subprocess.PIPE, stderr=log
        )
    assert process.stdout is not None
    try:
        told = json.loads(process.stdout.readline())["ready"]
        yield process, str(next(iter(told.values()))).rstrip("/")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_PATIENCE)
        process.stdout.close()


def _ask(method: str, url: str, role: str, body: bytes | None) -> None:
    request = urllib.request.Request(url, method=method, data=body)
    request.add_header("Authorization", basic_header(role, f"{role}-secret"))
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()


def _say(what: object) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def main() -> None:
    """Archive, measure, open; exit code 1 where a bound does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=2000)
    count = parser.parse_args().count
    with (
        tempfile.TemporaryDirectory(prefix="archive-") as name,
        many_recordings(Path(name), count) as many,
    ):
        runs = [many.archive(form) for form in ("folders", "zip")]
        for run in runs:
            _say(run)
        (packed,) = (many.folder / "zip").glob("*.zip")
        with zipfile.ZipFile(packed) as archive:
            archive.extractall(many.folder / "unzipped")
        for root in ("folders", "unzipped"):
            opened = many.open_files(many.folder / root, Path("openssl"), most=count)
            _say(f"{root}: {opened} files opened with openssl smime -decrypt, all right")
            assert opened == count
    if not all(run.bounded for run in runs):
        sys.exit(f"over {COMMAND_MB:.0f} MB in the command, or {GROWTH_MB:.0f} MB more elsewhere")


if __name__ == "__main__":
    main()

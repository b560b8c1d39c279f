"""A processor with recordings and a store behind it, and `reclab archive` run against them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from reclab.archive.command import make_archive
from reclab.archive.run import Report
from reclab.archive.server import Door
from reclab.archive.state import Asked
from recording_processor.app import upstream_session
from recording_processor.profile_feed import ProfileFeed
from recording_processor.settings import ContactCenterSettings, ProcessorSettings, storages_of
from recording_processor.storages import Storage
from recording_processor.web.application import make_application
from service_shell.accounts import Account, Accounts, hash_password
from tests.recording_processor.archived import NOW, Made, Objects, file_all, folder_of, made
from tests.recording_processor.conftest import Client, open_catalogue
from tests.recording_processor.samples import CCID, DOMAIN
from tests.recording_processor.upstreams import Upstream, open_upstream


@cache
def accounts() -> tuple[Account, ...]:
    """Return one account for each role; hashing a password takes a while."""
    return tuple(
        Account(name=role, roles=[role], password_hash=hash_password(f"{role}-secret"))
        for role in ("mcp", "operator")
    )


@dataclass
class ArchiveLab:
    """The lab under test. `out` is where archives go."""

    store: Upstream
    objects: Objects
    client: Client
    folder: Path

    @property
    def out(self) -> Path:
        """The archive's folder."""
        return self.folder / "out"

    @property
    def url(self) -> str:
        """The processor's address."""
        return str(self.client.make_url("")).rstrip("/")

    async def keep(self, *files: Made) -> None:
        """Store and file the files."""
        self.objects.add(*files)
        await file_all(self.client, *files)

    async def make(self, count: int, **changed: Any) -> list[Made]:
        """Keep `count` recordings that ended one second after another."""
        files = [made(f"R{n:04}", self.store.url, seconds=n, **changed) for n in range(count)]
        await self.keep(*files)
        return files

    async def archive(
        self, criteria: dict[str, str] | None = None, *, resume: bool = False, as_zip: bool = False
    ) -> Report:
        """Archive in this process; what the store served is counted anew."""
        self.objects.served.clear()
        asked = Asked(form="zip" if as_zip else "folders", filter=criteria or {})
        door = Door(self.url, "operator", "operator-secret")
        return await make_archive(door, self.out, asked, resume, lambda _report: None)

    async def start(self, *options: str) -> Process:
        """Start the command as a process."""
        password = self.folder / "password"
        password.write_text("operator-secret\n")
        where = ("--out", str(self.out), "--url", self.url, "--password-file", str(password))
        command = (sys.executable, "-m", "reclab", "archive", *where, *options)
        return await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)

    async def run(self, *options: str) -> tuple[int, str, str]:
        """Run the command; return its exit code, its output and what it said."""
        process = await self.start(*options)
        async with asyncio.timeout(60):
            output, said = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode(), said.decode()

    def file_of(self, file: Made) -> Path:
        """Where a media file belongs in the archive."""
        name = str(file.media["mediaId"]) + (".bin" if "pkcs7" in file.media else "")
        return self.out / folder_of(file.media["parameters"]["id"]) / name

    def state(self) -> Any:
        """What the folder remembers."""
        return json.loads((self.out / "archive.json").read_text())

    def fetches(self) -> Counter[str]:
        """How often each object was served."""
        return Counter(self.objects.served)

    def tree(self) -> dict[str, str]:
        """The archive's files and their digests, without what the folder remembers."""
        found = {}
        for path in sorted(self.out.rglob("*")):
            name = str(path.relative_to(self.out))
            if path.is_file() and name not in (".lock", "archive.json"):
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        return found

    def assert_whole(self, *files: Made) -> None:
        """Fail unless the archive holds these recordings, right, and nothing else."""
        for file in files:
            assert self.file_of(file).read_bytes().endswith(file.stored)
        expected = {str(self.file_of(file).relative_to(self.out)) for file in files}
        expected |= {str(Path(name).parent / "recording.json") for name in expected}
        assert set(self.tree()) == expected


@asynccontextmanager
async def archive_lab(folder: Path) -> AsyncIterator[ArchiveLab]:
    """Serve a processor and a store in this process."""
    async with (
        open_upstream() as store,
        open_catalogue(folder / "catalogue.sqlite3") as catalogue,
        upstream_session() as http,
    ):
        settings = ProcessorSettings(
            contact_center=ContactCenterSettings(domain=DOMAIN, ccid=CCID),
            accounts=list(accounts()),
            storages=[
                Storage(url=f"{store.url}/recordings", name="processor", password="store-secret")
            ],
        )
        application = make_application(
            settings,
            catalogue,
            ProfileFeed(),
            http,
            accounts=Accounts(settings.accounts),
            storages=storages_of(settings),
            now=lambda: NOW,
        )
        async with TestClient(TestServer(application)) as client:
            yield ArchiveLab(store, Objects(store), client, folder)


def peak_of(pid: int) -> float:
    """The most memory that a process has held, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6

"""A crypto server's administration that commands talk to, and a way to run them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from reclab.cert.commands import cert
from reclab.lab import Lab, User, write_lab
from reclab.pki import utc_now
from tests.crypto_server.administration import fake_catalogue
from tests.crypto_server.administration.desk import Desk, running_desk
from tests.crypto_server.administration.fake_catalogue import FakeCatalogue

PASSWORD = "ada's password"


def run(*arguments: str | Path) -> Result:
    """Run ``reclab cert …`` in this process; what it raises is kept in the result."""
    return CliRunner().invoke(cert, [str(argument) for argument in arguments])


@dataclass
class Bench:
    """A folder to work in, and a lab whose crypto server is `desk`."""

    folder: Path
    desk: Desk

    async def run(self, *arguments: str | Path) -> Result:
        """Run a command for this lab beside the server."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RECLAB_DATA", str(self.folder))
            return await asyncio.to_thread(run, *arguments)

    async def done(self, *arguments: str | Path) -> str:
        """Run a command that has to succeed; return its standard output."""
        result = await self.run(*arguments)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.stdout

    async def refused(self, *arguments: str | Path, code: int = 1) -> str:
        """Run a command that has to be refused by the server; return the sentence."""
        result = await self.run(*arguments)
        assert result.exit_code == code, (result.output, result.exception)
        return result.stderr

    async def uploaded(self, name: str, *more: str) -> str:
        """Make and upload a certificate in a folder of that name; return its id."""
        out = self.folder / name
        ca = ("--ca", self.folder / "ca" / "ca.pem", "--ca-key", self.folder / "ca" / "ca.key")
        await self.done("new", "--subject", f"/CN={name}", *ca, "--out", out, *more)
        said = await self.done("upload", out)
        return said.split("id ")[1].strip()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A lab whose CA was made by ``new-ca``; the server's time is now."""
    async with (
        AsyncExitStack() as stack,
        fake_catalogue.running(FakeCatalogue()) as catalogue,
        running_desk(tmp_path, catalogue) as desk,
    ):
        stack.enter_context(capture_logs())  # else the server's log is in what a command prints
        catalogue.tenants = {"Environment": 1}
        desk.clock.at = utc_now()
        lab = Lab(
            sip="", control="", store="", processor=catalogue.url, crypto=desk.url,
            users={"admin": User("ada", PASSWORD)}, ca_file=str(desk.ca_file), keys={},
            domain="", ccid="", profile_dbid=101,
        )  # fmt: skip
        write_lab(tmp_path, lab)
        bench = Bench(tmp_path, desk)
        await bench.done("new-ca", "Bench CA", "--out", tmp_path / "ca")
        desk.ca_file.write_bytes((tmp_path / "ca" / "ca.pem").read_bytes())
        yield bench

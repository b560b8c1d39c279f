"""``reclab keystore`` through a running administration."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from crypto_server.keystore.import_entries import import_entries
from crypto_server.keystore.pkcs12_merging import merged_pkcs12
from reclab.lab import Lab, User, write_lab
from tests.crypto_server.administration import fake_catalogue
from tests.crypto_server.administration.desk import Desk, running_desk
from tests.crypto_server.administration.fake_catalogue import FakeCatalogue
from tests.crypto_server.keystore.entries import content, entry, fill
from tests.reclab.keystore.running import bad_input, done, refused, secret


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A lab in `tmp_path` whose crypto server has a key for each of two tenants."""
    async with (
        AsyncExitStack() as stack,
        fake_catalogue.running(FakeCatalogue()) as catalogue,
        running_desk(tmp_path, catalogue) as desk,
    ):
        stack.enter_context(capture_logs())  # else the server's log is in what a command prints
        lab = Lab(
            sip="", control="", store="", processor=catalogue.url, crypto=desk.url,
            users={"admin": User("ada", "ada's password")}, ca_file=str(desk.ca_file), keys={},
            domain="", ccid="", profile_dbid=101,
        )  # fmt: skip
        write_lab(tmp_path, lab)
        fill(desk.keystore, ("Environment", entry("one")), ("North", entry("two", "North", 2)))
        yield desk


async def test_backup_remove_restore(desk: Desk, tmp_path: Path) -> None:
    """What a backup over HTTP has comes back over HTTP; the list tells it."""
    data = ("--data", tmp_path)
    its = ("--backup-password-file", secret(tmp_path, "backup.password", "the backup's"))
    out = tmp_path / "keys.backup"
    await asyncio.to_thread(done, "backup", "--out", out, *its, *data)
    before = content(desk.keystore)
    desk.keystore.remove("North", entry("two").certificate.fingerprint)
    result = await asyncio.to_thread(done, "restore", out, *its, *data, "--json")
    assert json.loads(result.stdout) == {"added": 1, "kept": 1, "replaced": 0}
    assert content(desk.keystore) == before
    result = await asyncio.to_thread(done, "list", *data, "--json")
    assert [row["tenant"] for row in json.loads(result.stdout)] == ["Environment", "North"]
    wrong = ("--backup-password-file", secret(tmp_path, "wrong.password", "not this one"))
    said = await asyncio.to_thread(refused, "restore", out, *wrong, *data)
    assert "its password is another one" in said


async def test_passwd_of_a_running_server(desk: Desk, tmp_path: Path) -> None:
    """The server goes on with the new password, and says what a person has to do."""
    new = secret(tmp_path, "new.password", "the new password")
    result = await asyncio.to_thread(done, "passwd", "--new-password-file", new, "--data", tmp_path)
    assert "2 keys are encrypted with the new password." in result.stderr
    assert "Give the new password to the crypto server before it starts again." in result.stderr
    assert len(desk.keystore.entries("North")) == 1
    folder = ("--folder", tmp_path / "keystore", "--password-file", new)
    assert await asyncio.to_thread(done, "list", *folder)
    short = secret(tmp_path, "short.password", "short")
    said = await asyncio.to_thread(
        refused, "passwd", "--new-password-file", short, "--data", tmp_path
    )
    assert "shorter than" in said


async def test_import_and_export(desk: Desk, tmp_path: Path) -> None:
    """A server takes the chosen keys of a file, and its keys come out as files for Java."""
    data = ("--data", tmp_path)
    old = tmp_path / "old.p12"
    old.write_bytes(merged_pkcs12([entry("three"), entry("four")], "old"))
    its = ("--import-password-file", secret(tmp_path, "old.password", "old"))
    alias = ("--alias", entry("four").alias)
    await asyncio.to_thread(done, "import", old, "--tenant", "North", *alias, *its, *data)
    aliases = {one.alias for one in desk.keystore.entries("North")}
    assert aliases == {entry(name, "North", 2).alias for name in ("two", "four")}
    java = ("--export-password-file", secret(tmp_path, "java.password", "for java"))
    result = await asyncio.to_thread(done, "export", "--out", tmp_path / "java", *java, *data)
    files = [Path(line) for line in result.stdout.split()]
    assert [file.name for file in files] == ["Environment.p12", "North.p12"]
    assert len(import_entries(files[1].read_bytes(), "for java", name="file")) == 2
    said = await asyncio.to_thread(bad_input, "import", old, "--dbid", "7", *its, *data)
    assert said == "--dbid belongs to --folder: a crypto server knows its tenants"


async def test_account_that_may_not_is_told(desk: Desk, tmp_path: Path) -> None:
    """An administrator of one tenant cannot take the whole keystore away; others neither."""
    its = ("--backup-password-file", secret(tmp_path, "backup.password", "the backup's"))
    out = tmp_path / "keys.backup"
    for name in ("nora", "anna"):
        password = secret(tmp_path, f"{name}.password", f"{name}'s password")
        who = ("--url", desk.url, "--user", name, "--user-password-file", password)
        await asyncio.to_thread(refused, "backup", "--out", out, *its, *who)
    assert not out.exists()

"""``reclab catalogue``: backups of a catalogue in use, what a check finds, and the way back."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from reclab.catalogue_command import catalogue
from reclab.preparation import LabFolder, catalogue_file
from recording_processor.catalogue.catalogue import Catalogue, catalogue_of
from recording_processor.catalogue.opening import open_database
from recording_processor.intake import read_post
from service_shell.settings import SettingsError
from tests.recording_processor.conftest import open_catalogue
from tests.recording_processor.samples import CCID, DOMAIN, media_file, post
from tests.recording_processor.test_envelopes_api import ALIAS_ONE, OLD
from tests.recording_processor.test_migration import make_first_form


def run(*arguments: str | Path) -> Result:
    """Run a command; what it raises is kept in the result."""
    return CliRunner().invoke(catalogue, [str(argument) for argument in arguments])


def done(*arguments: str | Path) -> Result:
    """Run a command that has to succeed."""
    result = run(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def bad_input(*arguments: str | Path) -> str:
    """Run a command whose input is bad (exit code 2); return the sentence."""
    result = run(*arguments)
    assert isinstance(result.exception, SettingsError), (result.output, result.exception)
    return str(result.exception)


@asynccontextmanager
async def in_use(file: Path) -> AsyncIterator[Catalogue]:
    """Open a catalogue as a processor that delivers onward."""
    async with (
        open_database(file) as database,
        catalogue_of(
            database, ccid=CCID, domain=DOMAIN, region="1", clock=lambda: 7, onward=True
        ) as opened,
    ):
        yield opened


async def fill(opened: Catalogue, *recording_ids: str) -> None:
    """File recordings of two media files each."""
    for name in recording_ids:
        for number in (1, 2):
            media = media_file(
                name, media_id=f"{name}-{number}.wav", pkcs7=OLD, certAlias=[ALIAS_ONE]
            )
            await opened.file(read_post(post(media)))


def make(file: Path, *recording_ids: str) -> Path:
    """Make a catalogue with recordings; nobody has it open afterwards."""

    async def make_it() -> None:
        async with in_use(file) as opened:
            await fill(opened, *recording_ids)

    asyncio.run(make_it())
    return file


def report(*arguments: str | Path, code: int = 0) -> dict[str, Any]:
    """Return what a check says in JSON."""
    result = run("check", *arguments, "--json")
    assert result.exit_code == code, (result.output, result.exception)
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def rests(folder: Path) -> list[Path]:
    """Return what a command has left behind."""
    return list(folder.glob(".*"))


def ruin(file: Path, *statements: str) -> None:
    """Change a catalogue behind the processor's back."""
    connection = sqlite3.connect(file)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


async def test_a_catalogue_in_use(tmp_path: Path) -> None:
    """While a processor files posts, backups are sound, and each is of one moment."""
    file, filed, stop = tmp_path / "c.sqlite3", 0, asyncio.Event()
    async with in_use(file) as opened:

        async def go_on() -> None:
            nonlocal filed
            while not stop.is_set():
                await fill(opened, f"N{filed}")
                filed += 1

        async with asyncio.TaskGroup() as group:
            group.create_task(go_on())
            for number in range(3):
                before = filed
                copy = tmp_path / f"backup-{number}.sqlite"
                await asyncio.to_thread(done, "backup", copy, "--catalogue", file)
                told = await asyncio.to_thread(report, copy)
                assert before <= told["recordings"] <= filed + 1
                # A post of its own each: at most the last recording is half there.
                assert told["mediaFiles"] in (2 * told["recordings"], 2 * told["recordings"] - 1)
                assert stat.S_IMODE(copy.stat().st_mode) == 0o600
            live = await asyncio.to_thread(report, "--catalogue", file)
            assert live["sound"]
            stop.set()
    assert rests(tmp_path) == []


def test_a_backup_replaces_nothing(tmp_path: Path) -> None:
    """A file that is there stays, unless --force; never the catalogue itself."""
    file = make(tmp_path / "c.sqlite3", "CALL1")
    out = tmp_path / "backup"
    out.write_text("precious")
    assert "is there already: say --force" in bad_input("backup", out, "--catalogue", file)
    assert out.read_text() == "precious"
    told = json.loads(done("backup", out, "--catalogue", file, "--force", "--json").stdout)
    assert told == {"file": str(out), "bytes": out.stat().st_size}
    assert "is the catalogue itself" in bad_input("backup", file, "--catalogue", file, "--force")
    assert "is a folder" in bad_input("backup", tmp_path, "--catalogue", file, "--force")
    nowhere = tmp_path / "none" / "backup"
    assert "no such file or directory" in bad_input("backup", nowhere, "--catalogue", file)
    assert report(file)["sound"]


def test_the_lab_s_catalogue_is_found(tmp_path: Path) -> None:
    """Without --catalogue it is the one of the lab's folder."""
    folder = LabFolder(tmp_path / "lab")
    folder.catalogue.mkdir(parents=True)
    make(catalogue_file(folder), "CALL1")
    shown = done("check", "--data", tmp_path / "lab")
    assert "is sound: 1 recording with 2 media files." in shown.output
    assert "there is no such file" in bad_input("check", "--data", tmp_path / "another")
    assert "lab: is a folder, not a catalogue's file" in bad_input("check", tmp_path / "lab")


def test_what_is_no_catalogue(tmp_path: Path) -> None:
    """Text, another database and a newer catalogue are bad input, one sentence each."""
    text, other, newer = (tmp_path / name for name in ("text", "other", "newer"))
    text.write_text("This is no database at all. " * 200)
    ruin(other, "CREATE TABLE t (x)")
    make(newer)
    ruin(newer, "UPDATE alembic_version SET version_num = '9999'")
    assert "is not a usable catalogue" in bad_input("check", text)
    assert "is not a catalogue of recordings" in bad_input("check", other)
    assert "was made by a newer recording_processor" in bad_input("check", newer)
    for file in (text, other):
        assert "catalogue" in bad_input("backup", tmp_path / "out", "--catalogue", file)
        assert "catalogue" in bad_input("restore", file, "--catalogue", newer)
    assert not (tmp_path / "out").exists()


def test_an_older_form(tmp_path: Path) -> None:
    """A catalogue that an earlier version made is checked as far as it goes, and named older."""
    file = tmp_path / "old.sqlite3"
    make_first_form(file)
    told = report(file, code=1)
    assert (told["form"], told["current"], told["recordings"]) == ("0001", False, 1)
    assert {finding["kind"] for finding in told["findings"]} <= {"search", "metadata", "envelope"}


RUINS = {
    "recording": "DELETE FROM media_files",
    "link": "UPDATE participations SET media_file = 99",
    "digest": "UPDATE media_files SET sha256 = 'ABC'",
    "metadata": "UPDATE media_files SET document = '{'",
    "recipients": "UPDATE media_recipients SET alias = 'rcs_X:1:CN=x:7'",
    "envelope": "UPDATE media_files SET document = json_set(document, '$.pkcs7', 'x')",
    "profile": "INSERT INTO profile_versions VALUES (1, 7, 'p', 1, '[]', 1, 'x', 0)",
    "onward": "UPDATE onward_posts SET media_files = '[99]' WHERE number = 1",
}
SEARCHES = (
    "UPDATE recordings SET caller = 'x'",
    "UPDATE recordings SET stopped_at = stopped_at - 1",
    "UPDATE media_files SET storage_path = 'http://elsewhere/x'",
    "UPDATE media_files SET encrypted = 0",
    "UPDATE media_files SET play_name = 'x.wav.bin'",
    "UPDATE media_files SET started_at = started_at + 1",
    "DELETE FROM participations WHERE contact_type = 'User'",
    "UPDATE media_parameters SET value = 'x' WHERE name = 'connId'",
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound catalogue, to be copied and ruined."""
    return make(tmp_path_factory.mktemp("sound") / "c.sqlite3", "CALL1", "CALL2")


@pytest.mark.parametrize(
    ("kind", "statement"), [*RUINS.items(), *(("search", each) for each in SEARCHES)]
)
def test_what_is_ruined_is_found(sound: Path, tmp_path: Path, kind: str, statement: str) -> None:
    """Each thing that must be true is missed where it is not: exit code 1, and where it is."""
    file = tmp_path / "c.sqlite3"
    done("backup", file, "--catalogue", sound)
    assert report(file)["findings"] == []
    ruin(file, statement)
    told = report(file, code=1)
    assert not told["sound"]
    assert kind in {finding["kind"] for finding in told["findings"]}
    shown = run("check", file)
    assert shown.exit_code == 1
    assert f"{kind}: " in shown.stdout


def test_a_damaged_file(sound: Path, tmp_path: Path) -> None:
    """Ruined pages are found, and neither backed up nor restored."""
    file = tmp_path / "c.sqlite3"
    done("backup", file, "--catalogue", sound)
    data = bytearray(file.read_bytes())
    for page in range(4096 * 4, len(data) - 4096, 4096 * 3):
        data[page : page + 600] = b"\xa5" * 600
    file.write_bytes(data)
    assert any(finding["kind"] == "SQLite" for finding in report(file, code=1)["findings"])
    backup = run("backup", tmp_path / "out", "--catalogue", file)
    assert backup.exit_code == 1
    assert "is damaged" in backup.stderr
    kept = sound.read_bytes()
    refused = run("restore", file, "--catalogue", sound)
    assert refused.exit_code == 1
    assert "was not restored" in refused.stderr
    assert run("restore", file, "--catalogue", sound, "--force").exit_code == 1
    assert sound.read_bytes() == kept
    assert {path.name for path in tmp_path.iterdir()} == {"c.sqlite3"}


def test_a_catalogue_is_restored(tmp_path: Path) -> None:
    """The backup takes its place under a new identity; the one before is kept, and whole."""
    file, backup = make(tmp_path / "c.sqlite3", "CALL1"), tmp_path / "backup"
    done("backup", backup, "--catalogue", file)
    make(file, "CALL2")
    told = json.loads(done("restore", backup, "--catalogue", file, "--json").stdout)
    assert (told["recordings"], told["mediaFiles"]) == (1, 2)
    aside = Path(told["before"])
    assert report(aside)["recordings"] == 2
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE(aside.stat().st_mode) == 0o600

    async def look() -> tuple[str, int]:
        async with in_use(file) as opened:
            await fill(opened, "CALL2")
            found = await opened.recording("CALL2", tenants=None)
            return opened.identity, len(found.media_files)

    identity, files = asyncio.run(look())
    assert files == 2
    connection = sqlite3.connect(aside)
    assert connection.execute("SELECT catalogue FROM identity").fetchone()[0] != identity
    connection.close()


def test_a_restore_where_nothing_was(tmp_path: Path) -> None:
    """A lost catalogue comes back; nothing is put aside."""
    backup, lost = make(tmp_path / "backup", "CALL1"), tmp_path / "c.sqlite3"
    told = done("restore", backup, "--catalogue", lost)
    assert "Restored 1 recording " in told.output
    assert report(lost)["sound"]
    assert [path.name for path in tmp_path.glob("*before*")] == []
    assert "is not there" in bad_input("restore", backup, "--data", tmp_path / "none")


async def test_a_restore_waits_for_the_processor_s_end(tmp_path: Path) -> None:
    """While a processor has the catalogue nothing is restored, and it is not disturbed."""
    file = tmp_path / "c.sqlite3"
    async with open_catalogue(file) as opened:
        await fill(opened, "CALL1")
        backup = tmp_path / "backup"
        await asyncio.to_thread(done, "backup", backup, "--catalogue", file)
        told = await asyncio.to_thread(bad_input, "restore", backup, "--catalogue", file)
        assert "is in use by a recording_processor: stop it first" in told
        await fill(opened, "CALL2")
        assert (await opened.recording("CALL2", tenants=None)).id == "CALL2"


def test_a_restore_waits_for_readers(tmp_path: Path) -> None:
    """While something reads the catalogue's journal nothing is touched; afterwards it works."""
    file, backup = make(tmp_path / "c.sqlite3", "CALL1"), tmp_path / "backup"
    done("backup", backup, "--catalogue", file)
    reader, writer = (sqlite3.connect(file, isolation_level=None) for _ in range(2))
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM recordings").fetchone()
    writer.execute("UPDATE recordings SET call_type = 'Changed'")
    assert "is being read by another program" in bad_input("restore", backup, "--catalogue", file)
    kept = writer.execute("SELECT call_type FROM recordings").fetchone()
    assert kept == ("Changed",)
    for connection in (reader, writer):
        connection.close()
    done("restore", backup, "--catalogue", file)
    assert report(file)["sound"]


def test_a_torn_catalogue_is_kept_with_its_journal(tmp_path: Path) -> None:
    """What a kill -9 left in the journal is in the catalogue that is put aside."""
    file, backup = make(tmp_path / "c.sqlite3", "CALL1"), tmp_path / "backup"
    done("backup", backup, "--catalogue", file)
    # A copy taken while it is open has its last transactions in the journal only.
    torn = tmp_path / "torn"
    torn.mkdir()

    async def tear() -> None:
        async with in_use(file) as opened:
            await fill(opened, "CALL2")
            for end in ("", "-wal"):
                shutil.copy(f"{file}{end}", torn)

    asyncio.run(tear())
    told = json.loads(done("restore", backup, "--catalogue", torn / "c.sqlite3", "--json").stdout)
    assert report(told["before"])["recordings"] == 2
    assert report(torn / "c.sqlite3")["recordings"] == 1

"""The processor as a program of its own: how it starts, how it is killed, how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sqlite3
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from service_shell.accounts import hash_password
from tests.recording_processor.asking import POST, SEARCH
from tests.recording_processor.conftest import sign_in
from tests.recording_processor.samples import CCID, DOMAIN, media_file, post, profile

_HASHES = {role: hash_password(f"{role}-secret") for role in ("mcp", "operator", "admin")}
PROVISION = """
[[tenants]]
name = "Environment"
dbid = 1

[[profiles]]
dbid = 101
name = "recording"
tenant = "Environment"
certificate_files = ["ruined.pem"]
sections."gvp.service-parameters"."recordingclient.httpauthorization" = "fixed,mcp:store-secret"
"""


def configure(folder: Path, *, more: str = "", listen: str = "127.0.0.1:0") -> Path:
    """Write a settings file into `folder` and return it."""
    (folder / "profiles.toml").write_text(PROVISION)
    (folder / "ruined.pem").write_text("no certificate")
    accounts = "".join(
        f'[[accounts]]\nname = "{role}"\nroles = ["{role}"]\npassword_hash = "{hashed}"\n'
        for role, hashed in _HASHES.items()
    )
    file = folder / "processor.toml"
    file.write_text(
        f'listen = "{listen}"\ncatalogue = "{folder}/catalogue.sqlite3"\n'
        f'provision = ["{folder}/profiles.toml"]\n{more}\n'
        f'[contact_center]\ndomain = "{DOMAIN}"\nccid = "{CCID}"\n{accounts}'
    )
    return file


async def start(config: Path, environ: Mapping[str, str] | None = None) -> Process:
    """Start the program."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "recording_processor",
        "--config",
        str(config),
        stdout=PIPE,
        stderr=PIPE,
        env={**os.environ, **(environ or {})},
    )


@asynccontextmanager
async def running(config: Path) -> AsyncIterator[tuple[Process, aiohttp.ClientSession]]:
    """Start the program, wait until it is ready, and let a client of it out."""
    process = await start(config)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            ready = json.loads(await process.stdout.readline())
        async with aiohttp.ClientSession(ready["ready"]["processor"]) as session:
            yield process, session
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def failing(config: Path, environ: Mapping[str, str] | None = None) -> str:
    """Start a program that cannot run; return its sentence."""
    process = await start(config, environ)
    async with asyncio.timeout(30):
        _, told = await process.communicate()
    assert process.returncode == 2
    lines = told.decode().strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


async def test_what_was_answered_survives_kill_9(tmp_path: Path) -> None:
    """After kill -9 right behind an answered post, and a restart, every row is there."""
    config = configure(tmp_path)
    for round_number in range(3):
        async with running(config) as (process, session):
            for number in range(round_number):
                async with session.get(f"{SEARCH}/C{number}", headers=sign_in("operator")) as found:
                    assert found.status == 200
            body = post(media_file(f"C{round_number}"))
            async with session.post(POST, data=body, headers=sign_in("mcp")) as answer:
                assert answer.status == 200
                process.kill()


async def test_kill_9_under_load_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    """Killed among many simultaneous posts: those that were answered are there, whole."""
    config = configure(tmp_path)
    answered: list[int] = []
    async with running(config) as (process, session):

        async def one(number: int) -> None:
            body = post(media_file(f"C{number}"))
            try:
                async with session.post(POST, data=body, headers=sign_in("mcp")) as answer:
                    assert answer.status == 200
            except aiohttp.ClientError:
                return
            answered.append(number)
            if len(answered) == 40:
                process.kill()

        await asyncio.gather(*(one(number) for number in range(200)))
    assert 40 <= len(answered) < 200
    async with running(config) as (_, session):
        for number in answered:
            async with session.get(f"{SEARCH}/C{number}", headers=sign_in("operator")) as found:
                recording = (await found.json())["recording"]
                assert len(recording["mediaFiles"]) == 1
                assert len(recording["eventHistory"]) == 4


async def _poster(
    names: Iterator[str],
    session: aiohttp.ClientSession,
    answered: list[str],
    process: Process,
    last: int,
) -> None:
    """Post recordings until the processor is gone; kill it when `last` have been answered."""
    for name in names:
        body = post(media_file(name))
        try:
            async with session.post(POST, data=body, headers=sign_in("mcp")) as answer:
                assert answer.status == 200
        except aiohttp.ClientError:
            return
        answered.append(name)
        if len(answered) == last:
            process.kill()


async def test_kill_9_at_any_moment_keeps_what_was_answered(tmp_path: Path) -> None:
    """Killed while 64 post at once, again and again: every answered post is there, whole."""
    config, moments = configure(tmp_path), random.Random(4)
    answered: list[str] = []
    for round_number in range(3):
        last = len(answered) + moments.randrange(1, 150)
        async with running(config) as (process, session):
            names = (f"R{round_number}-{number}" for number in range(10_000))
            posters = (_poster(names, session, answered, process, last) for _ in range(64))
            async with asyncio.timeout(30):
                await asyncio.gather(*posters)
        assert len(answered) >= last
    # A last start finishes what was torn; then the file itself is asked.
    async with running(config):
        pass
    connection = sqlite3.connect(tmp_path / "catalogue.sqlite3")
    rows = connection.execute(
        "SELECT recordings.id, count(DISTINCT media_files.number), count(participations.number)"
        " FROM recordings LEFT JOIN media_files ON media_files.recording = recordings.number"
        " LEFT JOIN participations ON participations.media_file = media_files.number GROUP BY 1"
    ).fetchall()
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()
    # What was not answered is there whole, or not at all.
    assert {files for _, files, _ in rows} == {1}
    assert {parties for _, _, parties in rows} == {2}
    assert set(answered) <= {name for name, _, _ in rows}


async def test_sigterm_ends_it_cleanly_and_soon(tmp_path: Path) -> None:
    """SIGTERM answers the readers who wait, and ends with exit code 0; no log holds a password."""
    async with running(configure(tmp_path)) as (process, session):
        path = "/lab/profiles?after=1&wait=60"
        poll = asyncio.create_task(session.get(path, headers=sign_in("mcp")))
        async with asyncio.timeout(20):
            while True:
                async with session.get("/metrics") as answer:
                    if "reclab_processor_long_polls 1.0" in await answer.text():
                        break
            process.send_signal(signal.SIGTERM)
            answer = await poll
            assert (await answer.json())["version"] == 1
            answer.close()
            assert await process.wait() == 0
        assert process.stderr is not None
        log = (await process.stderr.read()).decode()
    assert "A profile has a problem" in log
    assert "certificates-1" in log
    assert "secret" not in log
    assert "Traceback" not in log


async def test_the_settings_provision_once(tmp_path: Path) -> None:
    """Profiles of the settings are made at the first start, and belong to the catalogue then."""
    config = configure(tmp_path)
    async with running(config) as (_, session):
        body = profile(101, name="changed")
        async with session.put("/lab/profiles/101", json=body, headers=sign_in("admin")) as answer:
            assert (await answer.json())["version"] == 2
    async with (
        running(config) as (_, session),
        session.get("/lab/profiles", headers=sign_in("admin")) as answer,
    ):
        assert await answer.json() == {"version": 2, "profiles": [body]}


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ('colour = "red"', "`colour` is an unknown setting"),
        ('listen = "127.0.0.1:x"', "is not valid TOML"),
        ("crypto_url = 5", "crypto_url"),
        ('[[storages]]\nurl = "nonsense"', "`nonsense`: it is not an http or https URL"),
        ("[limits]\nplays = 0", "limits.plays"),
    ],
)
async def test_a_wrong_setting_is_one_sentence(tmp_path: Path, more: str, sentence: str) -> None:
    """An unknown or wrong setting ends the program with exit code 2 and one sentence."""
    assert sentence in await failing(configure(tmp_path, more=more))


async def test_what_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    """A port in use, a folder that is not there, a broken provision file: exit code 2 each."""
    config = configure(tmp_path)
    missing = {"RECLAB_PROCESSOR__CATALOGUE": f"{tmp_path}/none/catalogue.sqlite3"}
    assert "cannot be opened (No such file or directory)" in await failing(config, missing)
    none = {"RECLAB_PROCESSOR__PROVISION": '["none.toml"]'}
    assert "none.toml: cannot be read" in await failing(config, none)
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        taken = {"RECLAB_PROCESSOR__LISTEN": f"127.0.0.1:{port}"}
        assert "cannot listen on TCP" in await failing(config, taken)
    (tmp_path / "profiles.toml").write_text(PROVISION.replace("dbid = 101", "dbid = 0"))
    assert "profiles.toml: dbid: it is not from 1" in await failing(config)

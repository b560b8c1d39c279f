"""`reclab rewrap`: many recordings at once, counted, in front of a real re-wrap."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from aiohttp import web
from aiohttp.test_utils import TestServer

from reclab.lab import Lab, User, write_lab
from reclab.rewrap_command import rewrap
from recording_format.envelope import Envelope
from service_shell.accounts import basic_header
from service_shell.settings import SettingsError
from tests.crypto_server.recordings import encrypted, plain, wav
from tests.crypto_server.rewrap.bench import Bench, ident, pair, running_bench
from tests.recording_format.authority import issue, recorder, rsa_key

PAGE = 7
Run = Callable[..., Awaitable[tuple[int, str, str]]]


class Search:
    """The processor's search over the bench's recordings; `asked` are its questions."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.asked: list[dict[str, str]] = []
        self.status = 200

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a page."""
        assert request.headers["Authorization"] == basic_header("otto", "otto's password")
        self.asked.append(dict(request.query))
        if self.status != 200:
            return web.json_response({"statusMessage": "not like this"}, status=self.status)
        begin = int(request.query.get("next", "0"))
        ids = list(self.bench.catalogue.recordings)
        page = [
            {"id": one, "mediaFiles": [m.media for m in self.bench.catalogue.recordings[one]]}
            for one in ids[begin : begin + PAGE]
        ]
        following = {"next": str(begin + PAGE)} if begin + PAGE < len(ids) else {}
        return web.json_response({"statusCode": 0, "recordings": page, **following})


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A running re-wrap with the keys of recorders 1 and 2."""
    async with running_bench(tmp_path) as bench:
        for number in (1, 2):
            bench.add_key(number)
        yield bench


@pytest.fixture
async def search(bench: Bench, tmp_path: Path) -> AsyncIterator[Search]:
    """A processor's search; ``lab.json`` tells of both."""
    search = Search(bench)
    app = web.Application()
    app.router.add_get("/api/v2/recordings", search.answer)
    async with TestServer(app) as server:
        users = {
            "admin": User("ada", "ada's password"),
            "operator": User("otto", "otto's password"),
        }
        url = str(server.make_url("")).rstrip("/")
        lab = Lab("", "", "", url, bench.url, users, "", {}, "", "", 101)
        write_lab(tmp_path, lab)
        yield search


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Give what runs the command beside the servers: exit code, output, messages."""

    def command(arguments: tuple[str, ...]) -> int:
        app = typer.Typer(pretty_exceptions_enable=False)
        app.command()(rewrap)
        return app([*arguments, "--data", str(tmp_path)], standalone_mode=False) or 0

    async def run(*arguments: str) -> tuple[int, str, str]:
        try:
            code = await asyncio.to_thread(command, arguments)
        except SettingsError as error:
            return 2, "", str(error)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def fill(bench: Bench, count: int) -> None:
    """Let the catalogue have so many recordings for recorder 1."""
    for number in range(count):
        bench.catalogue.add(encrypted(wav(200), pair(1), recording_id=f"R{number:02}"))


def recipients(bench: Bench) -> list[set[int]]:
    """Return the numbers of each recording's recipients."""
    return [
        {info.serial - 9 for info in Envelope.from_pem(one.media["pkcs7"]).recipients}
        for files in bench.catalogue.recordings.values()
        for one in files
    ]


async def test_all_recordings(bench: Bench, search: Search, run: Run) -> None:
    """Every recording of every page gets the new recipient and loses the old; then nothing."""
    fill(bench, 2 * PAGE + 3)
    wish = ("--all", "--add", ident(2), "--remove", ident(1))
    code, _, said = await run(*wish)
    assert (code, said.strip()) == (0, "Changed 17 recordings")
    assert recipients(bench) == [{2}] * 17
    assert len(search.asked) == 3
    code, _, said = await run(*wish)
    assert (code, said.strip()) == (0, "Changed 0 recordings, 17 were so already")


async def test_named_recordings(bench: Bench, search: Search, run: Run, tmp_path: Path) -> None:
    """Recordings by their ids, each once, and a certificate from a file; nothing is searched."""
    fill(bench, 3)
    (tmp_path / "new.pem").write_text("for the auditor\n" + recorder(3).pem)
    code, _, said = await run("R00", "R02", "R00", "--add", str(tmp_path / "new.pem"))
    assert (code, said.strip()) == (0, "Changed 2 recordings")
    assert recipients(bench) == [{1, 3}, {1}, {1, 3}]
    assert search.asked == []


async def test_ids_by_their_beginning(bench: Bench, search: Search, run: Run) -> None:
    """The beginning of an id does, as `reclab cert list` shows it, where only one is meant."""
    fill(bench, 1)
    code, _, said = await run("--all", "--add", ident(2)[:12])
    assert (code, said.strip()) == (0, "Changed 1 recording")
    assert recipients(bench) == [{1, 2}]
    code, _, said = await run("--all", "--add", "0123456789ab")
    assert (code, said) == (2, "the keystore has no certificate whose id begins with 0123456789ab")
    assert search.asked


async def test_a_dry_run(bench: Bench, search: Search, run: Run) -> None:
    """A dry run counts what would change, and changes nothing."""
    fill(bench, 2)
    code, _, said = await run("--all", "--add", ident(2), "--dry-run")
    assert (code, said.strip()) == (0, "Would change 2 recordings")
    assert recipients(bench) == [{1}, {1}]
    assert search.asked


async def test_what_fails_stops_no_other(bench: Bench, search: Search, run: Run) -> None:
    """Recordings that cannot be changed are named, each with its sentence; exit code 1."""
    fill(bench, 3)
    bench.catalogue.recordings["R01"] = [encrypted(wav(200), pair(3), recording_id="R01")]
    bench.catalogue.add(plain(wav(200)))
    code, out, said = await run("--all", "--add", ident(2), "--json")
    assert code == 1
    lines = said.strip().splitlines()
    assert lines[0].startswith("R01: no key here opens media file")
    assert lines[1] == "Changed 2 recordings, 1 not encrypted, 1 failed"
    # The server in this process writes its log there, too.
    told: dict[str, Any] = json.JSONDecoder().raw_decode(out[out.index("{\n") :])[0]
    assert (told["changed"], told["failed"], told["notEncrypted"]) == (2, 1, 1)
    assert {one["recording"]: one.get("problem") is None for one in told["recordings"]} == {
        "R00": True,
        "R01": False,
        "R02": True,
    }
    assert search.asked


async def test_what_fails_for_all_stops_at_once(bench: Bench, search: Search, run: Run) -> None:
    """A certificate that may not be used is one sentence, not one for each recording."""
    fill(bench, 30)
    stranger = bench.audit_file.with_name("stranger.pem")
    stranger.write_text(issue("stranger", rsa_key(3), serial=5).pem)
    code, _, said = await run("--all", "--add", str(stranger))
    assert code == 2
    assert "stranger" in said
    assert len(bench.lines()) < 10
    assert recipients(bench) == [{1}] * 30
    assert search.asked


async def test_words_are_those_of_the_command(bench: Bench, search: Search, run: Run) -> None:
    """What a refusal calls a parameter is told as the option that it is here."""
    bench.catalogue.add(encrypted(wav(200), pair(1), pair(3)))
    code, _, said = await run("--all", "--remove", ident(1)[:4])
    assert code == 1
    assert "no recipient whose key is here; `--force` allows it" in said
    assert (await run("--all", "--remove", ident(1)[:4], "--force"))[0] == 0


async def test_the_search_is_the_processors(bench: Bench, search: Search, run: Run) -> None:
    """Times and filters go into the search; another tenant's recordings are left alone."""
    fill(bench, 1)
    other = encrypted(wav(200), pair(1), recording_id="NORTH", tenant="North")
    bench.catalogue.add(other)
    times = ("--from", "2026-01-01T00:00:00Z", "--to", "2026-02-01T00:00:00Z")
    more = ("--filter", "userName=agent*", "--tenant", "Environment")
    code, _, said = await run(*times, *more, "--add", ident(2))
    assert (code, said.strip()) == (0, "Changed 1 recording")
    assert search.asked == [
        {
            "startTime": times[1],
            "endTime": times[3],
            "userName": "agent*",
            "limit": "500",
        }
    ]
    assert recipients(bench) == [{1, 2}, {1}]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--add", "x"), "name recordings, or say --all"),
        (("R00", "--all", "--add", "x"), "name recordings, or say --all"),
        (("R00",), "who shall open them by --add"),
        (("R00", "--add", "nowhere.pem"), "'nowhere.pem' is neither a certificate's file nor its"),
        (("R00", "--add", recorder(2).pem), "-----BEGIN CERTIFICATE-----\\nMII"),
        (("R00", "--add", "abc"), "'abc' is neither a certificate's file nor its id (4 hex digits"),
        (("--filter", "agent", "--add", "x"), "--filter 'agent' is not NAME=VALUE"),
        (("--filter", "size=1", "--add", "x"), "--filter 'size=1' is not NAME=VALUE"),
    ],
)
async def test_bad_input(
    bench: Bench, search: Search, run: Run, arguments: tuple[str, ...], sentence: str
) -> None:
    """Each bad option is one sentence, before anything is asked."""
    code, _, said = await run(*arguments)
    assert code == 2
    assert sentence in said
    assert (search.asked, bench.catalogue.puts) == ([], [])


async def test_services_that_are_away(
    bench: Bench, search: Search, run: Run, tmp_path: Path
) -> None:
    """A search that is refused and a server that is not there are one sentence."""
    fill(bench, 1)
    search.status = 400
    code, _, said = await run("--all", "--add", ident(2))
    assert (code, said) == (2, "not like this")
    users = {role: User("x", "y") for role in ("admin", "operator")}
    nowhere = "http://127.0.0.1:9"
    write_lab(tmp_path, Lab("", "", "", nowhere, nowhere, users, "", {}, "", "", 101))
    for arguments in (("--all",), ("R00",)):
        code, _, said = await run(*arguments, "--add", ident(2))
        assert code == 2
        assert "nothing answers at 127.0.0.1:9" in said

"""What could not go onward: its files, their names, and their way back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording_processor.onward.failed_folder import FailedFolder
from recording_processor.onward.file_name import clean, file_name, folder_name, order, recording_of
from recording_processor.onward.patience import Backoff, Circuit
from recording_processor.settings import ProcessorSettings
from tests.recording_processor.asking import ask, get
from tests.recording_processor.conftest import Client, ClientOf, sign_in, with_account
from tests.recording_processor.irws import open_irws, status
from tests.recording_processor.onward_room import FOLDER, SECONDS, Room, onward_room
from tests.recording_processor.samples import CCID, DOMAIN

PATH = f"/api/v2/ops/contact-centers/{CCID}/onward"


async def fail(room: Room, *recording_ids: str) -> None:
    """Let posts fail for good, one after the other."""
    for number, recording_id in enumerate(recording_ids, 1):
        await room.file(recording_id, media_id=f"{recording_id.strip('./')}-{number}.wav")
        await room.until(failed=number)


async def test_a_restart_replays(tmp_path: Path) -> None:
    """At the start the files go once more, the oldest first; those taken are gone."""
    async with open_irws() as irws:
        irws.always = status(422)
        async with onward_room(tmp_path, irws.url) as room:
            await fail(room, "C", "A", "B")
        irws.always = None
        async with onward_room(tmp_path, irws.url) as room:
            await room.until()
            assert [name for name, _ in irws.taken_ids()] == ["C", "A", "B"]
            assert room.files() == []


async def test_it_replays_every_so_often(tmp_path: Path) -> None:
    """Without a restart and without anybody the files go when the time has come."""
    async with (
        open_irws() as irws,
        onward_room(tmp_path, irws.url, replay_minutes=0.001) as room,
    ):
        irws.plan += [status(422)] * 3
        await room.file("CALL1")
        await room.until()
        async with asyncio.timeout(SECONDS):
            while not irws.taken:
                await asyncio.sleep(0.01)
        assert irws.taken_ids()[0][0] == "CALL1"


async def test_a_file_goes_only_after_200(tmp_path: Path) -> None:
    """Refused again, it stays with its row; others go; one that is away stops the run."""
    async with open_irws() as irws, onward_room(tmp_path, irws.url) as room:
        irws.always = status(422)
        await fail(room, "C1", "C2", "C3")
        irws.always = None
        irws.plan += [status(422)]
        result = await room.onward.replay.start()
        assert (result.replayed, result.kept) == (2, 1)
        assert result.fault == "the web services answered 422: told 422"
        assert [file.name.partition("_")[0] for file in room.files()] == ["C1"]
        irws.plan += [status(500)]
        assert (await room.onward.replay.start()).fault == "the web services answered 500: told 500"
        assert len(room.files()) == 1
        await room.until(failed=1)


async def test_a_file_that_a_person_took_away(tmp_path: Path) -> None:
    """It counts as dealt with: what is behind it goes at the next replay."""
    async with open_irws() as irws, onward_room(tmp_path, irws.url) as room:
        irws.plan += [status(422)]
        await fail(room, "CALL1")
        await room.file("CALL1", media_id="b.wav")
        room.files()[0].unlink()
        await room.onward.replay.start()
        await room.until()
        assert irws.taken_ids() == [("CALL1", ["b.wav"])]


async def test_a_replay_that_was_faster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was sent before its post was noted as failed holds nobody up."""
    keep = FailedFolder.keep

    def keep_and_lose(folder: FailedFolder, name: str, body: bytes) -> None:
        keep(folder, name, body)
        folder.remove(name)

    async with open_irws() as irws, onward_room(tmp_path, irws.url) as room:
        monkeypatch.setattr(FailedFolder, "keep", keep_and_lose)
        irws.plan += [status(422)]
        await room.file("CALL1", media_id="a.wav")
        await room.file("CALL1", media_id="b.wav")
        await room.until()
        assert irws.taken_ids() == [("CALL1", ["b.wav"])]


async def test_a_file_that_a_person_put_there(tmp_path: Path) -> None:
    """A post of an older catalogue goes too; what is no post stays, and is not sent."""
    async with open_irws() as irws, onward_room(tmp_path, irws.url) as room:
        folder = room.failed / FOLDER
        folder.mkdir()
        (folder / "OLD_20250101T000000.000Z.json").write_text('{"id": "OLD", "mediaFiles": []}')
        (folder / "SECRETS_20250101T000000.000Z.json").write_text('{"password": "hush"}')
        (folder / "LINK_20250101T000000.000Z.json").symlink_to("/etc/hostname")
        (room.failed / "another").mkdir()
        (room.failed / "another" / "X_20250101T000000.000Z.json").write_text("{}")
        result = await room.onward.replay.start()
        assert (result.replayed, result.kept) == (1, 1)
        assert irws.taken_ids() == [("OLD", [])]


@pytest.mark.parametrize(
    ("tenant", "recording_id"),
    [
        ("../../etc", "CALL1"),
        ("..", ".."),
        (".hidden", ".hidden"),
        ("a/b\\c\0d", "x y%2F"),
        ("Ü" * 255, "ß" * 120),
        ("Environment", "-rf *"),
    ],
)
def test_names_from_outside_stay_inside(tmp_path: Path, tenant: str, recording_id: str) -> None:
    """Whatever a tenant or a recording is called, its file lies in the folder and comes back."""
    folder = FailedFolder(tmp_path / "failed", domain=DOMAIN, ccid=CCID)
    folder.make()
    name = folder.name(tenant, recording_id, 1_767_348_000_000)
    body = b'{"id": "x", "mediaFiles": []}'
    folder.keep(name, body)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "failed" / name]
    assert len(name.split("/")) == 2
    assert folder.names() == [name]
    assert folder.read(name) == body
    folder.remove(name)
    assert folder.names() == []


@given(st.lists(st.text(max_size=300), min_size=2, max_size=2, unique=True))
def test_names_are_names(texts: list[str]) -> None:
    """Cleaned texts are portable, short, and different where the texts are."""
    first, second = (clean(text, 80) for text in texts)
    assert first != second
    for name in (first, second):
        assert 1 <= len(name) <= 80
        assert name.isascii()
        assert name.isprintable()
        assert not set(name) & set('/\\ "*?:<>|')
        assert not name.startswith(".")


def test_files_are_in_the_order_of_time() -> None:
    """The name tells the time to the millisecond; files of one recording share its beginning."""
    names = [f"f/{file_name(name, time)}" for name, time in (("B", 5), ("A", 1700000000000))]
    assert names[0] == "f/B_19700101T000000.005Z.json"
    assert sorted(names, key=order) == names
    assert names[1] < names[0]
    assert recording_of(names[1]) == "f/A"
    assert folder_name("d.example", "T_1", "c") == "d.example_T_1_c"


def test_the_wait_grows_and_is_bounded() -> None:
    """Each wait is longer, at least 70 % of it is sure, none is over the bound."""
    longest, shortest = Backoff(1, 60, lambda: 0.0), Backoff(1, 60, lambda: 1.0)
    assert [longest.delay(n) for n in (1, 2, 3, 7, 500)] == [1, 2, 4, 60, 60]
    assert shortest.delay(3) == pytest.approx(2.8)
    assert longest.delay(1, retry_after=9) == 9
    assert longest.delay(1, retry_after=10_000) == 60


def test_the_circuit() -> None:
    """Three failures open it: then one at a time, after pauses that grow; success closes it."""
    circuit = Circuit(Backoff(1, 10, lambda: 0.0))
    assert circuit.places(0, running=1, most=4) == 3
    for _ in range(3):
        assert not circuit.open
        circuit.failed(100, None)
    assert circuit.open
    assert (circuit.places(100, running=0, most=4), circuit.probe_in(100)) == (0, 1)
    assert circuit.places(101, running=0, most=4) == 1
    assert circuit.places(101, running=1, most=4) == 0
    circuit.failed(101, None)
    assert circuit.probe_in(101) == 2
    assert circuit.probe_in(-1000) == 10
    circuit.failed(101, None)
    circuit.succeeded()
    assert circuit.places(101, running=0, most=4) == 4


@pytest.fixture
def limited(settings: ProcessorSettings) -> ProcessorSettings:
    """Settings with an administrator of one tenant only."""
    return with_account(settings, "north", ["admin"], ["North"])


async def test_the_api(tmp_path: Path, client_of: ClientOf, limited: ProcessorSettings) -> None:
    """An operator sees what failed, an administrator replays it; nobody else, and not in part."""
    async with open_irws() as irws, onward_room(tmp_path, irws.url) as room:
        irws.always = status(422)
        await fail(room, "CALL1")
        async with client_of(limited, onward=room.onward) as client:
            told = await get(client, PATH)
            (name,) = told.pop("files")
            assert name.startswith(f"{FOLDER}/CALL1_")
            assert told == {"statusCode": 0, "waiting": 0, "failed": 1, "fault": None}
            assert "1 post could not go onward" in await page(client, "operator")
            assert "could not go onward" not in await page(client, "listener")
            await ask(client, "POST", f"{PATH}/replay", role="operator", status=403)
            await ask(client, "POST", f"{PATH}/replay", role="north", status=403)
            await get(client, PATH, role="mcp", status=403)
            irws.always = None
            done = await ask(client, "POST", f"{PATH}/replay")
            assert done == {
                "statusCode": 0,
                "running": False,
                "replayed": 1,
                "kept": 0,
                "fault": None,
            }
            assert "could not go onward" not in await page(client, "operator")
            other = PATH.replace(CCID, "other")
            await ask(client, "POST", f"{other}/replay", status=404)


async def page(client: Client, role: str) -> str:
    """Return the console's page."""
    async with client.get("/", headers=sign_in(role)) as answer:
        return await answer.text()


async def test_the_api_says_that_it_is_off(client: Client) -> None:
    """Without web services there is nothing to see or to replay."""
    told: Any = await get(client, PATH, status=404)
    assert "`onward.url` is not set" in told["statusMessage"]
    await ask(client, "POST", f"{PATH}/replay", status=404)

"""Archives as zips: whole under the documents' name, or not there; each run holds what is new."""

from __future__ import annotations

import asyncio
import json
import re
import zipfile

import pytest
from aiohttp import web

from reclab.archive.command import make_archive
from reclab.archive.failure import ArchiveFailed
from reclab.archive.server import Door
from reclab.archive.state import Asked
from tests.reclab.archive.archive_lab import ArchiveLab
from tests.recording_processor.archived import folder_of, made
from tests.recording_processor.conftest import sign_in


def names_in(path: str | None) -> list[str]:
    """The recordings of a zip."""
    assert path is not None
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return [
            name.split("/")[3] for name in archive.namelist() if name.endswith("recording.json")
        ]


async def test_the_zip_has_its_documented_name(lab: ArchiveLab) -> None:
    """`<Tenant>-<FilterType>-<MaxAge>-<MinAge>-<yyyyMMddHHmmss>.zip`, with everything in it."""
    files = await lab.make(3)
    report = await lab.archive({"tenant": "Environment", "callType": "Unknown"}, as_zip=True)
    assert report.zip is not None
    assert re.fullmatch(r".*/Environment-CallType-Any-0-\d{14}\.zip", report.zip)
    assert names_in(report.zip) == ["R0000", "R0001", "R0002"]
    assert (report.recordings, report.fetched, report.damaged) == (3, 3, [])
    assert lab.state()["last"]["id"] == "R0002"
    with zipfile.ZipFile(report.zip) as archive:
        name = f"{folder_of('R0001')}/{files[1].media['mediaId']}.bin"
        assert archive.read(name).endswith(files[1].stored)


async def test_a_later_zip_holds_what_came_since(lab: ArchiveLab) -> None:
    """--resume makes a zip of what the last one did not hold; where that is nothing, none."""
    await lab.make(2)
    await lab.archive(as_zip=True)
    await lab.keep(made("LATE", lab.store.url, seconds=0), made("NEW", lab.store.url, seconds=9))
    first = next(lab.out.glob("*.zip"))
    report = await lab.archive(as_zip=True, resume=True)
    assert names_in(report.zip) == ["LATE", "NEW"]
    assert names_in(str(first)) == ["R0000", "R0001"]  # of the same second, and not overwritten
    assert lab.state()["counts"]["recordings"] == 4
    for path in lab.out.glob("*.zip"):
        path.unlink()
    report = await lab.archive(as_zip=True, resume=True)
    assert (report.zip, report.recordings) == (None, 0)
    assert list(lab.out.glob("*.zip")) == []
    await lab.keep(made("AGAIN", lab.store.url, seconds=20))
    assert names_in((await lab.archive(as_zip=True, resume=True)).zip) == ["AGAIN"]


async def test_damage_in_a_zip_is_told(lab: ArchiveLab) -> None:
    """The zip is kept, and what is missing in it is reported."""
    files = await lab.make(3)
    lab.objects.held.pop(files[1].path)
    code, _, said = await lab.run("--zip")
    assert code == 1
    assert "R0001: R0001-0a1b2c3d-00000001-00000001.wav: the store does not hold" in said
    (path,) = lab.out.glob("*.zip")
    assert names_in(str(path)) == ["R0000", "R0001", "R0002"]
    report = await lab.archive(as_zip=True, resume=True)
    assert report.damaged == []
    assert [problem["id"] for problem in lab.state()["problems"]] == ["R0001"]


async def test_a_zip_that_breaks_off_leaves_nothing(lab: ArchiveLab) -> None:
    """A stream that is cut is one sentence, no file, and the next run begins where this one did."""
    await lab.make(3)
    async with lab.client.get("/lab/archive.zip", headers=sign_in("operator")) as answer:
        whole, name = await answer.read(), answer.headers["Content-Disposition"]

    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Disposition": name})
        await response.prepare(request)
        await response.write(whole[:-30])
        if request.query.get("tenant") == "Cut":
            assert request.transport is not None
            request.transport.close()
        return response

    lab.store.answer = cut
    door = Door(lab.store.url, "x", "y")
    for tenant in ("Cut", "Short"):
        out = lab.folder / tenant
        asked = Asked(form="zip", filter={"tenant": tenant})
        with pytest.raises(ArchiveFailed, match="broke the zip off"):
            await make_archive(door, out, asked, False, print)
        assert {path.name for path in out.iterdir()} == {".lock", "archive.json"}
        assert not json.loads((out / "archive.json").read_text())["finished"]


async def test_a_killed_zip_is_made_anew(lab: ArchiveLab) -> None:
    """After SIGKILL in the middle there is no zip; --resume makes the whole one."""
    await lab.make(3)
    serve, asked = lab.store.answer, asyncio.Event()

    async def stall(request: web.Request) -> web.StreamResponse:
        if "R0002" in request.path:
            asked.set()
            await asyncio.Event().wait()
        return await serve(request)

    lab.store.answer = stall
    process = await lab.start("--zip")
    async with asyncio.timeout(30):
        await asked.wait()
    process.kill()
    await process.communicate()
    assert list(lab.out.glob("*.zip")) == []
    lab.store.answer = serve
    report = await lab.archive(as_zip=True, resume=True)
    assert names_in(report.zip) == ["R0000", "R0001", "R0002"]
    assert len(list(lab.out.iterdir())) == 3  # the zip, archive.json and the lock


@pytest.mark.parametrize("name", ["", 'attachment; filename="../x.zip"', "attachment; filename=x"])
async def test_only_a_plain_name_is_taken(lab: ArchiveLab, name: str) -> None:
    """A zip is never written anywhere else than into the folder."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=b"x", headers={"Content-Disposition": name})

    lab.store.answer = answer
    asked = Asked(form="zip", filter={})
    with pytest.raises(ArchiveFailed, match="is not an archive's zip"):
        await make_archive(Door(lab.store.url, "x", "y"), lab.out, asked, False, print)
    assert list(lab.folder.glob("*.zip")) == []

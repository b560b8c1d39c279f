"""Archives as folders: whole, opened by the documents' command, and never fetched twice."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
from pathlib import Path

import pytest
from aiohttp import web

from reclab.archive.command import make_archive
from reclab.archive.failure import ArchiveFailed
from reclab.archive.server import Door, open_server
from reclab.archive.state import Asked, held_folder
from reclab.decryption import read_papers
from tests.peers import peer
from tests.reclab.archive.archive_lab import ArchiveLab
from tests.recording_processor.archived import json_in, made, write_key, zip_of
from tests.recording_processor.samples import Json
from tests.recording_processor.upstreams import break_off, refuse

MIB = 1 << 20


async def test_folders_hold_what_the_zip_holds(lab: ArchiveLab) -> None:
    """The same folders, the same bytes, the same recording.json, whichever way is taken."""
    await lab.make(3)
    await lab.keep(made("PLAIN", lab.store.url, seconds=9, encrypted=False))
    report = await lab.archive()
    assert (report.recordings, report.fetched, report.kept, report.damaged) == (4, 4, 0, [])
    archive = await zip_of(lab.client)
    packed = {name for name in archive.namelist() if name != "archive.json"}
    assert packed == set(lab.tree())
    for name in packed:
        assert (lab.out / name).read_bytes() == archive.read(name)
    totals = json_in(archive, "archive.json")
    assert lab.state()["counts"] == {
        name: totals[name] for name in ("recordings", "mediaFiles", "bytes")
    }


@pytest.mark.peer
async def test_every_file_opens_with_the_documents_command(lab: ArchiveLab, tmp_path: Path) -> None:
    """`openssl smime -decrypt -inform DER` gives the sound that was recorded."""
    files = await lab.make(3, size=50_000)
    await lab.archive()
    key, openssl = write_key(tmp_path), peer("openssl")

    def open_all() -> None:
        for file in files:
            command: list[str | Path] = [openssl, "smime", "-decrypt", "-inform", "DER"]
            command += ["-in", lab.file_of(file), "-inkey", key, "-out", tmp_path / "y"]
            subprocess.run(command, check=True)
            assert (tmp_path / "y").read_bytes() == file.sound

    await asyncio.to_thread(open_all)


async def test_recording_json_serves_as_an_envelope(lab: ArchiveLab) -> None:
    """`reclab decrypt` finds the media file of an archived file in its recording.json.

    Whatever the file is called there: ids that differ by case alone have marks.
    """
    names = ("one.wav", "One.wav", "two.wav")
    files = [made("A", lab.store.url, media_id=name, seconds=n) for n, name in enumerate(names)]
    await lab.keep(*files)
    await lab.archive()
    metadata = lab.file_of(files[0]).with_name("recording.json")
    archived = json.loads(metadata.read_bytes())["archive"]["files"]
    assert ["~" in one["name"] for one in archived] == [True, True, False]
    for file, one in zip(files, archived, strict=True):
        papers = read_papers(metadata.read_bytes(), metadata.name, one["name"])
        assert papers.media_id == file.media["mediaId"]
        assert papers.lab is not None


async def test_nothing_is_readable_for_others(lab: ArchiveLab) -> None:
    """Folders are 0700 and files 0600: recordings are people's words."""
    await lab.make(1)
    await lab.archive()
    modes = {path.stat().st_mode & 0o777 for path in lab.out.rglob("*") if path.is_file()}
    folders = {
        path.stat().st_mode & 0o777 for path in [lab.out, *lab.out.rglob("*")] if path.is_dir()
    }
    assert (modes, folders) == ({0o600}, {0o700})


async def test_what_is_there_and_right_is_not_fetched(lab: ArchiveLab) -> None:
    """A second run over the same folder asks the store for nothing, and changes nothing."""
    files = await lab.make(4)
    await lab.archive()
    before = {path: path.stat().st_mtime_ns for path in lab.out.rglob("*.*") if path.is_file()}
    for resume in (False, True):
        report = await lab.archive(resume=resume)
        assert report.fetched == 0
        assert lab.fetches() == {}
    after = {path: path.stat().st_mtime_ns for path in lab.out.rglob("*.*") if path.is_file()}
    assert {p: t for p, t in after.items() if p.name != "archive.json"} == {
        p: t for p, t in before.items() if p.name != "archive.json"
    }
    assert lab.state()["counts"]["recordings"] == len(files)


@pytest.mark.parametrize("how", ["flipped", "cut", "longer", "gone", "envelope"])
async def test_a_wrong_file_is_fetched_again(lab: ArchiveLab, how: str) -> None:
    """A file of the archive that is not what it should be is replaced, the others are kept."""
    files = await lab.make(3)
    await lab.archive()
    path = lab.file_of(files[1])
    data = bytearray(path.read_bytes())
    if how == "flipped":
        data[-1] ^= 1
    elif how == "envelope":
        data[100] ^= 1
    elif how == "cut":
        del data[-16:]
    else:
        data += b"x"
    path.write_bytes(data)
    if how == "gone":
        path.unlink()
    report = await lab.archive()
    assert (report.fetched, report.kept) == (1, 2)
    assert lab.fetches() == {files[1].path: 1}
    lab.assert_whole(*files)


async def test_a_recording_without_digests_is_kept_by_its_own(lab: ArchiveLab) -> None:
    """Where the metadata has no digests, those of the first run tell whether a file is right."""
    files = await lab.make(2, lab=None)
    await lab.archive()
    document = json.loads(lab.file_of(files[0]).with_name("recording.json").read_text())
    assert [one["verified"] for one in document["archive"]["files"]] == [False]
    assert (await lab.archive()).fetched == 0
    data = lab.file_of(files[0]).read_bytes()
    lab.file_of(files[0]).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert (await lab.archive()).fetched == 1
    lab.assert_whole(*files)


async def test_big_objects_go_through_in_parts(lab: ArchiveLab) -> None:
    """An object of several chunks is archived, and checked chunk by chunk."""
    (file,) = await lab.make(1, size=3 * MIB + 7)
    await lab.archive()
    lab.assert_whole(file)


async def test_criteria_choose(lab: ArchiveLab) -> None:
    """Time, tenant and the others are the processor's; what does not fit is not archived."""
    await lab.make(3)
    await lab.keep(made("NORTH", lab.store.url, tenant="North", seconds=1))
    report = await lab.archive({"from": "2026-01-02T10:00:01Z", "tenant": "North"})
    assert report.recordings == 1
    (folder,) = (lab.out / next(iter(lab.tree())).split("/")[0]).iterdir()
    assert folder.name == "North"


async def test_a_damaged_recording_does_not_stop_the_others(lab: ArchiveLab) -> None:
    """Missing or damaged is told, by id and sentence; repaired, the next run fetches just it."""
    files = await lab.make(4)
    del lab.objects.held[files[0].path]
    lab.objects.held[files[2].path] = files[2].stored[:-1] + b"?"
    report = await lab.archive()
    told = {one.id: one.problem for one in report.damaged}
    assert told.keys() == {"R0000", "R0002"}
    assert told["R0000"] == "the store does not hold the media file"
    assert told["R0002"].startswith("the stored object differs from its metadata")
    assert not lab.file_of(files[2]).exists()
    document = json.loads(lab.file_of(files[0]).with_name("recording.json").read_text())
    assert document["archive"]["problems"][0]["problem"] == told["R0000"]
    lab.objects.add(*files)
    report = await lab.archive(resume=True)
    assert (report.damaged, report.fetched) == ([], 2)
    assert lab.fetches() == {files[0].path: 1, files[2].path: 1}
    assert lab.state()["problems"] == []
    assert lab.state()["counts"]["mediaFiles"] == 4
    lab.assert_whole(*files)


async def test_only_a_recording_that_is_gone_is_given_up(lab: ArchiveLab) -> None:
    """What was damaged is looked for again; a processor that fails then has not said "gone"."""
    async with open_server(Door(lab.store.url, "x", "y")) as server:
        lab.store.answer = refuse(404)
        assert await server.recording("R0000") is None
        for status in (500, 502, 504):
            lab.store.answer = refuse(status)
            with pytest.raises(ArchiveFailed, match=f"says: the processor answered {status}"):
                await server.recording("R0000")


async def test_a_store_that_breaks_off_is_tried_again(lab: ArchiveLab) -> None:
    """A stream that is cut is asked for again a few times, then it is a problem."""
    (file,) = await lab.make(1)
    lab.store.answer = break_off(file.stored[:100], len(file.stored))
    report = await lab.archive()
    assert [one.problem for one in report.damaged] == ["the processor broke off"]
    assert len(lab.store.asked) == 3
    assert list(lab.out.rglob("*.new")) == []


async def test_a_later_run_takes_what_came_since(lab: ArchiveLab) -> None:
    """After a finished run, --resume archives what ended later, and what arrived late."""
    files = await lab.make(3)
    await lab.archive()
    late = made("LATE", lab.store.url, seconds=0)
    new = made("NEW", lab.store.url, seconds=50)
    await lab.keep(late, new)
    report = await lab.archive(resume=True)
    assert report.fetched == 2
    assert lab.fetches() == {late.path: 1, new.path: 1}
    assert lab.state()["last"] == {"stopTime": "2026-01-02T10:00:50.000+0000", "id": "NEW"}
    assert lab.state()["counts"]["recordings"] == 5
    lab.assert_whole(*files, late, new)
    assert (await lab.archive(resume=True)).recordings == 0


async def test_latecomers_alone_begin_nothing_anew(lab: ArchiveLab) -> None:
    """After a run that brought a late recording only, the next one looks at nothing again."""
    await lab.make(3)
    await lab.archive()
    await lab.keep(made("LATE", lab.store.url, seconds=0))
    assert (await lab.archive(resume=True)).recordings == 1
    assert (await lab.archive(resume=True)).recordings == 0


async def test_a_recording_that_grew_is_completed(lab: ArchiveLab) -> None:
    """Another segment of an archived recording is fetched, the first is kept."""
    first = made("A", lab.store.url, media_id="one.wav", seconds=1)
    await lab.keep(first)
    await lab.archive()
    second = made("A", lab.store.url, media_id="two.wav", seconds=2)
    await lab.keep(second)
    report = await lab.archive(resume=True)
    assert (report.fetched, report.kept) == (1, 1)
    lab.assert_whole(first, second)


async def test_another_archive_is_refused(lab: ArchiveLab) -> None:
    """A folder holds one archive: other criteria or another form are refused in a sentence."""
    await lab.make(1)
    environment = {"tenant": "Environment"}
    await lab.archive(environment)
    before = lab.tree()
    for resume in (False, True):
        with pytest.raises(
            ArchiveFailed, match="holds an archive of tenant=Environment as folders"
        ):
            await lab.archive({"tenant": "North"}, resume=resume)
        with pytest.raises(ArchiveFailed, match="not of tenant=Environment as a zip"):
            await lab.archive(environment, resume=resume, as_zip=True)
    with pytest.raises(ArchiveFailed, match="not of everything as folders"):
        await lab.archive()
    assert (await lab.archive(resume=True)).recordings == 0
    assert lab.tree() == before


async def test_another_contact_centre_is_refused(lab: ArchiveLab) -> None:
    """Recordings of two contact centres are not mixed in one archive."""
    await lab.make(1)
    await lab.archive()
    path = lab.out / "archive.json"
    path.write_text(path.read_text().replace(lab.state()["contactCenter"], "elsewhere"))
    with pytest.raises(ArchiveFailed, match="an archive of the contact centre elsewhere"):
        await lab.archive()


@pytest.mark.parametrize("content", ["", "{}", '{"asked": 5}', "[]", '{"filter": {}}'])
async def test_a_strange_state_is_refused(lab: ArchiveLab, content: str) -> None:
    """An archive.json that is not ours is left as it is."""
    lab.out.mkdir()
    (lab.out / "archive.json").write_text(content)
    with pytest.raises(ArchiveFailed, match="is not an archive's state"):
        await lab.archive()
    assert (lab.out / "archive.json").read_text() == content


async def test_one_run_at_a_time(lab: ArchiveLab) -> None:
    """While one run writes to the folder, another is refused in a sentence."""
    with (
        held_folder(lab.out),
        pytest.raises(ArchiveFailed, match="another archive is being written to"),
    ):
        await lab.archive()


@pytest.mark.parametrize("answer", [{"statusCode": 0}, {"contactCenter": "x", "recordings": [{}]}])
async def test_a_strange_processor_is_one_sentence(lab: ArchiveLab, answer: Json) -> None:
    """Whatever answers 200 with something else does not end in a trace."""
    lab.store.answer = refuse(200, answer)
    door = Door(lab.store.url, "x", "y")
    with pytest.raises(ArchiveFailed, match="the processor's answer is not one of an archive"):
        await make_archive(door, lab.out, Asked(form="folders", filter={}), False, print)


async def test_what_the_processor_refuses_is_its_sentence(lab: ArchiveLab) -> None:
    """A wrong criterion, name or role is said in a sentence, and does not bind the folder."""
    await lab.make(1)
    with pytest.raises(ArchiveFailed, match="says: from: it is not a date"):
        await lab.archive({"from": "yesterday"})
    for user, sentence in {
        "nobody": "refused the user's name",
        "mcp": "does not have the role",
    }.items():
        door = Door(lab.url, user, f"{user}-secret")
        with pytest.raises(ArchiveFailed, match=sentence):
            await make_archive(door, lab.out, Asked(form="folders", filter={}), False, print)
    assert (await lab.archive()).fetched == 1


async def test_no_processor_is_one_sentence(lab: ArchiveLab) -> None:
    """Where nothing answers, the sentence names the address."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(ArchiveFailed, match=f"nothing answers at {url}"):
            await make_archive(
                Door(url, "x", "y"), lab.out, Asked(form="folders", filter={}), False, print
            )


async def test_a_busy_processor_is_asked_again(lab: ArchiveLab) -> None:
    """503 is no end: the processor is asked again after a while."""
    busy = [1, 1]

    async def answer(_request: web.Request) -> web.Response:
        if busy:
            busy.pop()
            return web.Response(status=503, headers={"Retry-After": "0"})
        return web.json_response({"contactCenter": "x", "recordings": [], "next": None})

    lab.store.answer = answer
    door = Door(lab.store.url, "x", "y")
    asked = Asked(form="folders", filter={})
    assert (await make_archive(door, lab.out, asked, False, print)).recordings == 0
    assert busy == []

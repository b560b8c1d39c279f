"""The archive as one zip: what is in it, who opens it, and what happens when something is wrong."""

from __future__ import annotations

import asyncio
import io
import random
import struct
import subprocess
import zipfile
import zlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from recording_format.archive import parse_archive_header
from recording_processor.archive.zip_stream import ZipStream
from recording_processor.settings import ProcessorSettings
from recording_processor.storages import Storage
from tests.peers import peer
from tests.recording_processor.archived import (
    Made,
    Objects,
    file_all,
    folder_of,
    json_in,
    made,
    write_key,
    zip_of,
)
from tests.recording_processor.asking import get
from tests.recording_processor.conftest import Client, sign_in
from tests.recording_processor.samples import CCID
from tests.recording_processor.upstreams import Upstream, open_upstream

MIB = 1 << 20


@pytest.fixture
async def store() -> AsyncIterator[Upstream]:
    """A fake store."""
    async with open_upstream() as opened:
        yield opened


@pytest.fixture
def objects(store: Upstream) -> Objects:
    """What the store holds."""
    return Objects(store)


@pytest.fixture
def settings(settings: ProcessorSettings, store: Upstream) -> ProcessorSettings:
    """The plain settings, and where the store is."""
    storage = Storage(url=f"{store.url}/recordings", name="processor", password="store-secret")
    return msgspec.structs.replace(settings, storages=[storage])


async def kept(client: Client, objects: Objects, *files: Made) -> None:
    """Store and file the files."""
    objects.add(*files)
    await file_all(client, *files)


def bin_of(file: Made) -> str:
    """The name of a media file's entry."""
    recording_id = file.media["parameters"]["id"]
    return f"{folder_of(recording_id)}/{file.media['mediaId']}.bin"


async def test_the_zip_holds_folders_as_documented(
    client: Client, store: Upstream, objects: Objects
) -> None:
    """Contact centre, tenant, day of the start in UTC, recording; metadata beside each sound."""
    one = made("A", store.url, seconds=1)
    late = made(
        "NIGHT", store.url, start="2026-01-03T00:30:00.000+0100", stop=None, encrypted=False
    )
    late.media["stopTime"] = "2026-01-03T10:00:00.000Z"
    await kept(client, objects, one, late)
    archive = await zip_of(client)
    night = folder_of("NIGHT")
    assert archive.namelist() == [
        bin_of(one),
        f"{folder_of('A')}/recording.json",
        f"{night}/{late.media['mediaId']}",
        f"{night}/recording.json",
        "archive.json",
    ]
    assert archive.read(f"{night}/{late.media['mediaId']}") == late.sound
    whole = archive.read(bin_of(one))
    header = parse_archive_header(whole)
    assert whole[header.offset :] == one.stored
    info = archive.getinfo(bin_of(one))
    assert (info.compress_type, info.date_time) == (zipfile.ZIP_DEFLATED, (2026, 1, 2, 10, 0, 0))
    # Nothing is compressed: it would cost time, and ciphertext does not get smaller.
    assert all(one.file_size <= one.compress_size for one in archive.infolist())


@pytest.mark.peer
async def test_unzip_and_openssl_open_it(
    client: Client, store: Upstream, objects: Objects, tmp_path: Path
) -> None:
    """`unzip` finds no fault, and every `.bin` opens with the documents' command."""
    files = [made(f"R{number}", store.url, seconds=number, size=50_000) for number in range(3)]
    await kept(client, objects, *files)
    packed = tmp_path / "archive.zip"
    async with client.get("/lab/archive.zip", headers=sign_in("operator")) as answer:
        packed.write_bytes(await answer.read())
    key = write_key(tmp_path)
    unzip, openssl = peer("unzip"), peer("openssl")

    def open_all() -> None:
        tested = subprocess.run([unzip, "-tq", packed], capture_output=True, text=True, check=False)
        assert tested.returncode == 0, tested.stdout + tested.stderr
        subprocess.run([unzip, "-q", packed, "-d", tmp_path], check=True)
        for file in files:
            command: list[str | Path] = [openssl, "smime", "-decrypt", "-inform", "DER"]
            command += ["-in", tmp_path / bin_of(file), "-inkey", key, "-out", tmp_path / "y"]
            subprocess.run(command, check=True)
            assert (tmp_path / "y").read_bytes() == file.sound

    await asyncio.to_thread(open_all)


async def test_recording_json_is_the_answer_and_the_files(
    client: Client, store: Upstream, objects: Objects
) -> None:
    """`recording.json` is what GET answers, and says which file belongs to which media file."""
    file = made("A", store.url, parameters={"rp.speechminer_auth": "user:hush"})
    await kept(client, objects, file)
    archive = await zip_of(client)
    document = json_in(archive, f"{folder_of('A')}/recording.json")
    told = document.pop("archive")
    assert document == await get(client, "/api/v2/recordings/A")
    assert told == {
        "contactCenter": CCID,
        "tenant": "Environment",
        "files": [
            {
                "mediaId": file.media["mediaId"],
                "name": f"{file.media['mediaId']}.bin",
                "encrypted": True,
                "size": len(file.stored),
                "sha256": file.media["lab"]["sha256"],
                "verified": True,
            }
        ],
        "problems": [],
    }
    assert b"hush" not in b"".join(archive.read(name) for name in archive.namelist())


async def test_the_summary_says_what_is_in_it(
    client: Client, store: Upstream, objects: Objects
) -> None:
    """`archive.json` has the request, the counts, and the place at which a later one begins."""
    files = [made(f"R{number}", store.url, seconds=number) for number in range(3)]
    await kept(client, objects, *files)
    archive = await zip_of(client, "?callType=Un*&from=2026-01-01")
    told = json_in(archive, "archive.json")
    assert told["filter"] == {"from": "2026-01-01", "callType": "Un*"}
    assert (told["recordings"], told["mediaFiles"], told["damaged"]) == (3, 3, 0)
    assert told["bytes"] == sum(archive.getinfo(bin_of(file)).file_size for file in files)
    assert told["last"] == {"stopTime": "2026-01-02T10:00:02.000+0000", "id": "R2"}
    later = await zip_of(client, f"?since={told['place']}")
    assert later.namelist() == ["archive.json"]
    rest = await zip_of(client, "?to=2026-01-02T10:00:01Z")
    again = json_in(rest, "archive.json")["place"]
    assert bin_of(files[0]) not in (await zip_of(client, f"?after={again}")).namelist()


async def test_a_zip_of_latecomers_alone_begins_nothing_anew(
    client: Client, store: Upstream, objects: Objects
) -> None:
    """The archive behind one of late recordings goes on where the archives had come to before."""
    await kept(client, objects, *(made(f"R{n}", store.url, seconds=n) for n in range(3)))
    place = json_in(await zip_of(client), "archive.json")["place"]
    for name, seconds in (("LATE", 0), ("LATER", 1)):
        await kept(client, objects, made(name, store.url, seconds=seconds))
        later = await zip_of(client, f"?since={place}")
        assert json_in(later, "archive.json")["recordings"] == 1
        assert f"{folder_of(name)}/recording.json" in later.namelist()
        place = json_in(later, "archive.json")["place"]
    assert (await zip_of(client, f"?since={place}")).namelist() == ["archive.json"]


def broken(file: Made, how: str) -> bytes | None:
    """Return a file's stored bytes, damaged."""
    stored = bytearray(file.stored)
    if how == "missing":
        return None
    if how == "flipped":
        stored[-100] ^= 1
    if how == "cut":
        del stored[-16:]
    if how == "long":
        stored += bytes(16)
    if how == "empty":
        stored.clear()
    return bytes(stored)


SENTENCES = {
    "missing": "the store does not hold the media file",
    "flipped": "the stored object differs from its metadata in bytes ",
    "cut": "bytes instead of",
    "long": "bytes instead of",
    "empty": "bytes instead of",
}


@pytest.mark.parametrize("size", [3000, 2 * MIB + 5])
@pytest.mark.parametrize("how", SENTENCES)
async def test_a_damaged_object_is_told_and_not_given(
    client: Client, store: Upstream, objects: Objects, how: str, size: int
) -> None:
    """No entry, one sentence in errors.json and recording.json; the others are there."""
    files = [made(name, store.url, seconds=n, size=size) for n, name in enumerate("ABC")]
    await kept(client, objects, *files)
    damage = broken(files[1], how)
    objects.held.pop(files[1].path)
    if damage is not None:
        objects.held[files[1].path] = damage
    archive = await zip_of(client)
    assert bin_of(files[1]) not in archive.namelist()
    for good in (files[0], files[2]):
        assert archive.read(bin_of(good)).endswith(good.stored)
    (error,) = json_in(archive, "errors.json")
    assert (error["id"], error["mediaId"]) == ("B", files[1].media["mediaId"])
    assert SENTENCES[how] in error["problem"]
    document = json_in(archive, f"{folder_of('B')}/recording.json")["archive"]
    assert (document["files"], document["problems"]) == ([], [error])
    summary = json_in(archive, "archive.json")
    assert (summary["recordings"], summary["mediaFiles"], summary["damaged"]) == (3, 2, 1)
    async with client.get("/metrics") as answer:
        counted = await answer.text()
    assert 'zipped_media_files_total{outcome="whole"} 2.0' in counted
    assert 'zipped_media_files_total{outcome="damaged"} 1.0' in counted


@pytest.mark.peer
async def test_unzip_takes_a_zip_with_a_gap(
    client: Client, store: Upstream, objects: Objects, tmp_path: Path
) -> None:
    """Where a big object broke in its middle, `unzip` neither shows it nor complains."""
    file = made("A", store.url, size=3 * MIB)
    await kept(client, objects, file)
    objects.held[file.path] = broken(file, "flipped") or b""
    packed = tmp_path / "archive.zip"
    async with client.get("/lab/archive.zip", headers=sign_in("operator")) as answer:
        packed.write_bytes(await answer.read())
    assert packed.stat().st_size > MIB
    unzip = peer("unzip")
    told = await asyncio.to_thread(
        lambda: subprocess.run([unzip, "-t", packed], capture_output=True, text=True, check=False)
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert ".bin" not in told.stdout


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"pkcs7": "-----BEGIN PKCS7-----\nMII=\n-----END PKCS7-----\n"}, "the envelope"),
        ({"mediaDescriptor": {"path": "http://10.0.0.1/x"}}, "lies in no storage"),
        ({"pkcs7": None, "lab": None}, None),
    ],
)
async def test_odd_metadata_is_told(
    client: Client, store: Upstream, objects: Objects, changed: dict[str, Any], sentence: str | None
) -> None:
    """A broken envelope and a foreign store are problems; no digests are only not verified."""
    file = made("A", store.url, **changed)
    await kept(client, objects, file)
    document = json_in(await zip_of(client), f"{folder_of('A')}/recording.json")["archive"]
    if sentence is None:
        assert [one["verified"] for one in document["files"]] == [False]
    else:
        assert sentence in document["problems"][0]["problem"]


async def test_a_recording_of_several_files_is_whole(
    client: Client, store: Upstream, objects: Objects
) -> None:
    """All segments of a recording lie in one folder, also those whose ids differ by case alone."""
    names = ("x.wav", "X.wav", "a~b.wav")
    files = [made("A", store.url, media_id=name, seconds=n) for n, name in enumerate(names)]
    await kept(client, objects, *files)
    archive = await zip_of(client)
    entries = [name for name in archive.namelist() if name.endswith(".bin")]
    assert len({name.lower() for name in entries}) == 3
    told = json_in(archive, f"{folder_of('A')}/recording.json")["archive"]["files"]
    for one, file in zip(told, files, strict=True):
        assert archive.read(f"{folder_of('A')}/{one['name']}").endswith(file.stored)


async def test_a_head_tells_name_and_number(
    client: Client, store: Upstream, objects: Objects
) -> None:
    """HEAD answers the name and the number of recordings, and reads nothing from the store."""
    await kept(client, objects, made("A", store.url))
    async with client.head("/lab/archive.zip?tenant=Environment", headers=sign_in("admin")) as head:
        assert head.headers["X-Reclab-Recordings"] == "1"
        name = head.headers["Content-Disposition"]
    assert name.startswith('attachment; filename="Environment-All-Any-0-')
    assert objects.served == []


async def test_too_many_are_refused_before(
    client: Client, store: Upstream, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More recordings than a zip may have are one sentence before the first byte."""
    monkeypatch.setattr("recording_processor.web.archive.MAX_ZIP_RECORDINGS", 1)
    await kept(client, objects, made("A", store.url), made("B", store.url))
    told = await get(client, "/lab/archive.zip", status=400)
    assert told["statusMessage"].startswith("more than 1 recordings fit")


def test_huge_entries_are_zip64() -> None:
    """A huge entry has ZIP64 fields; times outside a zip's years are moved into them."""
    out = ZipStream()
    with out:
        out.begin("huge", 5 << 30, datetime(1970, 1, 1, tzinfo=UTC))
        out.write(b"x" * 10)
        out.end()
        out.add("small", b"y", datetime(2200, 1, 1, tzinfo=UTC))
        out.finish()
        data = b"".join(out.taken())
    assert data[4:6] == b"\x2d\x00"  # version 4.5 is needed to extract
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert archive.testzip() is None
    assert [(i.filename, i.file_size, i.date_time[0]) for i in archive.infolist()] == [
        ("huge", 10, 1980),
        ("small", 1, 2107),
    ]


def entries_forward(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the entries as a reader sees them that knows nothing of what lies ahead."""
    at = 0
    while data[at : at + 4] == b"PK\x03\x04":
        method, _, _, crc, _, _, name, extra = struct.unpack_from("<HHHIIIHH", data, at + 8)
        assert (method, crc) == (zipfile.ZIP_DEFLATED, 0)
        begin = at + 30 + name + extra
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        content = inflate.decompress(data[begin:])
        at = len(data) - len(inflate.unused_data)
        told = struct.unpack_from("<4sIII", data, at)
        assert told == (b"PK\x07\x08", zlib.crc32(content), told[2], len(content))
        at += 16
        yield data[begin - name - extra : begin - extra].decode(), content
    assert data[at : at + 4] == b"PK\x01\x02"


def test_a_reader_that_goes_forward_sees_every_entry() -> None:
    """Without the directory at the end, from a pipe, each entry's end and digest are found."""
    moment, sound = datetime(2026, 1, 1, tzinfo=UTC), random.Random(1).randbytes(200_000)
    with ZipStream() as out:
        out.begin("a.bin", len(sound), moment)
        for start in range(0, len(sound), 70_000):
            out.write(sound[start : start + 70_000])
        out.end()
        out.begin("torn.bin", 1000, moment)
        out.write(sound[:100])
        out.drop()
        out.add("empty", b"", moment)
        out.finish()
        data = b"".join(out.taken())
    assert dict(entries_forward(data)) == {"a.bin": sound, "torn.bin": sound[:100], "empty": b""}
    assert zipfile.ZipFile(io.BytesIO(data)).namelist() == ["a.bin", "empty"]


def test_a_zip_that_is_given_up_leaves_nothing_open() -> None:
    """Leaving the block in the middle of an entry closes everything quietly."""

    def give_up() -> None:
        with ZipStream() as out:
            out.begin("a", 10, datetime(2026, 1, 1, tzinfo=UTC))
            out.write(b"abc")
            raise KeyError

    with pytest.raises(KeyError):
        give_up()

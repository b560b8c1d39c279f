"""``reclab export``: one recording in the archive form, the envelope with the ciphertext inside.

Made as a stream, without any key; checked against the digests of the metadata while it is written.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from reclab.lab import DEFAULT_FOLDER, DataOption, load_lab
from reclab.lab_client import JsonDict, LabClient, LabError, lab_client
from recording_format.archive import archive_prefix
from recording_format.digests import CiphertextHasher
from recording_format.envelope import Envelope
from recording_format.errors import RecordingFormatError
from service_shell.settings import SettingsError


def export(
    recording_id: Annotated[str, typer.Argument(metavar="ID", help="The recording's id.")],
    out: Annotated[Path, typer.Option("--out", help="The file to write.")],
    media: Annotated[
        str, typer.Option("--media", help="The media id, where the recording has several files.")
    ] = "",
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
) -> None:
    """Write one recording as a whole PKCS#7 file, still encrypted.

    It opens with the key of any recipient:

    `openssl smime -decrypt -inform DER -in x.bin -inkey KEY.pem -out x.wav`
    """
    if out.is_dir() or not out.name:
        raise SettingsError(f"{out} is a folder: name the file to write")
    size = asyncio.run(_export(data, recording_id, out, media))
    Console(stderr=True, highlight=False, soft_wrap=True).print(
        f"Wrote {escape(str(out))} ({size} bytes)"
    )


async def _export(data: Path, recording_id: str, out: Path, media_id: str) -> int:
    async with lab_client(load_lab(data)) as client:
        try:
            chosen = _choose(await client.recording(recording_id), media_id)
            return await _write(client, chosen, out)
        except (LabError, RecordingFormatError) as error:
            raise SettingsError(str(error)) from None
        except OSError as error:
            raise SettingsError(f"{out} cannot be written ({error.strerror})") from None


def _choose(recording: JsonDict, media_id: str) -> JsonDict:
    files: list[JsonDict] = recording["mediaFiles"]
    names = [str(media["mediaId"]) for media in files]
    if not media_id and len(files) > 1:
        listed = ", ".join(names)
        raise LabError(f"the recording has several media files, choose one by --media: {listed}")
    for media in files:
        if media_id in ("", media["mediaId"]):
            return media
    raise LabError(f"the recording has no media file {media_id!r}")


async def _write(client: LabClient, media: JsonDict, out: Path) -> int:
    """Write the archive form under a temporary name, and put it in place when it is whole."""
    if not media.get("pkcs7"):
        raise LabError(f"{media['mediaId']} is not encrypted: it has no archive form")
    envelope = Envelope.from_pem(media["pkcs7"])
    facts = media.get("lab")
    size = int(facts["size"]) if facts else sum([len(b) async for b in client.stored(media)])
    prefix = archive_prefix(envelope, size)
    hasher = CiphertextHasher()
    temporary = out.with_name(f".{out.name}.new")
    try:
        with temporary.open("wb") as file:
            file.write(prefix)
            async for block in client.stored(media):
                hasher.update(block)
                file.write(block)
        digests = hasher.finish()
        if digests.size != size or (facts and digests.sha256 != facts["sha256"]):
            raise LabError(f"the stored object of {media['mediaId']} differs from its metadata")
        temporary.replace(out)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
    return len(prefix) + size

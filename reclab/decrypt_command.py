"""``reclab decrypt``: one stored media file, its envelope and a private key make the audio.

Exit codes: 0 written, 1 the file does not open with what was given, 2 bad input.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric import rsa
from rich.console import Console
from rich.markup import escape

from reclab.decryption import MediaPapers, Opener, decrypted, read_papers, written_whole
from recording_format.certificates import RecordingCertificate
from recording_format.errors import (
    CertificateError,
    EnvelopeError,
    MetadataError,
    PrivateKeyError,
    RecordingFormatError,
)
from recording_format.private_keys import load_private_key
from service_shell.settings import SettingsError

_LARGEST_PAPER = 16 * 1024 * 1024


def decrypt(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="The stored ciphertext, or a file in the archive form (.bin)."
        ),
    ],
    key: Annotated[Path, typer.Option("--key", help="A recipient's private key, PEM.")],
    out: Annotated[Path, typer.Option("--out", help="The file to write, mode 0600.")],
    envelope: Annotated[
        Path | None,
        typer.Option(
            "--envelope",
            help="The PKCS#7 envelope (PEM), or the metadata (JSON, recording.json): with its "
            "digests and mac the recording is verified. An archive file has its own envelope.",
        ),
    ] = None,
    password_file: Annotated[
        Path | None, typer.Option("--password-file", help="Its first line opens the private key.")
    ] = None,
    certificate: Annotated[
        Path | None,
        typer.Option(
            "--certificate",
            help="The key's certificate: the recipient is picked by its issuer and serial. "
            "Without it, by the key's length and by what comes out.",
        ),
    ] = None,
    media: Annotated[
        str, typer.Option("--media", help="The media id, where the metadata has several files.")
    ] = "",
    any_content: Annotated[
        bool,
        typer.Option(
            "--any-content",
            help="Take what does not begin like WAV, MP3 or MP4, too. A wrong key or file can then "
            "come out as noise, about once in 256 times.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The outcome as JSON.")] = False,
) -> None:
    """Decrypt a recording's file with a private key. No lab is needed.

    `reclab decrypt x.wav.bin --envelope recording.json --key private_key.pem --out x.wav`
    """
    _check_out(out, file)
    papers = _papers(envelope, file, media)
    opener = Opener(_private_key(key, password_file), _certificate(certificate), any_content)
    try:
        size = _write(file, papers, opener, out)
    except RecordingFormatError as error:
        sys.stderr.write(f"reclab: {file}: {error}\n")
        raise typer.Exit(1) from None
    verified = papers.lab is not None
    if as_json:
        report = {"file": str(file), "out": str(out), "bytes": size, "verified": verified}
        print(json.dumps(report))
        return
    Console(stderr=True, highlight=False, soft_wrap=True).print(
        f"Wrote {escape(str(out))} ({size} bytes, {_trust(papers)})"
    )


def _trust(papers: MediaPapers) -> str:
    if papers.lab is not None:
        return "verified: digests and mac are those of the recording"
    missing = "the metadata has no digests" if papers.media_id else "no metadata was given"
    return f"unverified: {missing}"


def _check_out(out: Path, file: Path) -> None:
    if str(out) == "-":
        raise SettingsError("--out - cannot be: what is decrypted counts only when all of it is")
    if not out.name or out.is_dir():
        raise SettingsError(f"{out} is a folder: name the file to write")
    if not out.parent.is_dir():
        raise SettingsError(f"{out} cannot be written: its folder does not exist")
    if out.exists() and (not out.is_file() or (file.exists() and out.samefile(file))):
        raise SettingsError(f"{out} cannot be written: it is the input, or no ordinary file")


def _papers(envelope: Path | None, file: Path, media: str) -> MediaPapers:
    if envelope is None:
        if media:
            raise SettingsError("--media chooses a file of the metadata: name it by --envelope")
        return MediaPapers()
    try:
        return read_papers(_read(envelope), "the metadata", file.name, media)
    except (EnvelopeError, MetadataError) as error:
        raise SettingsError(f"{envelope}: {error}") from None


def _private_key(path: Path, password_file: Path | None) -> rsa.RSAPrivateKey:
    password = None
    if password_file is not None:
        lines = _read(password_file).decode("utf-8", "surrogateescape").splitlines()
        password = lines[0] if lines else ""
        if not password:
            raise SettingsError(f"the password file {password_file} is empty")
    try:
        return load_private_key(_read(path), password, name=str(path))
    except PrivateKeyError as error:
        raise SettingsError(str(error)) from None


def _certificate(path: Path | None) -> RecordingCertificate | None:
    if path is None:
        return None
    try:
        return RecordingCertificate.load(_read(path).decode("latin-1"), name=str(path))
    except CertificateError as error:
        raise SettingsError(str(error)) from None


def _read(path: Path) -> bytes:
    """Return a small file."""
    with path.open("rb") as file:
        text = file.read(_LARGEST_PAPER + 1)
    if len(text) > _LARGEST_PAPER:
        raise SettingsError(f"{path} is too large for what it should be")
    return text


def _write(file: Path, papers: MediaPapers, opener: Opener, out: Path) -> int:
    size = 0
    try:
        with file.open("rb") as source, written_whole(out) as target:
            for piece in decrypted(source, papers, opener):
                target.write(piece)
                size += len(piece)
    except OSError as error:
        if error.filename is not None:
            raise
        reason = os.strerror(error.errno or 0).lower()
        raise SettingsError(f"{file} could not be decrypted to {out}: {reason}") from None
    return size

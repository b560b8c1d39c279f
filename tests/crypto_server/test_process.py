"""The crypto server as a process: start, signals, end, memory."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiohttp import web

from crypto_server.keystore import Keystore
from recording_format.cipher import CHUNK_SIZE, MediaEncryptor
from recording_format.envelope import Envelope, wrap_session_key
from recording_format.integrity import media_mac
from recording_format.metadata import Lab
from recording_format.session_key import SessionKey
from service_shell.accounts import hash_password
from tests.crypto_server import fake_processor
from tests.crypto_server.conftest import authorization
from tests.crypto_server.fake_processor import FakeProcessor
from tests.crypto_server.keys import TENANT, KeyPair, key_pair
from tests.crypto_server.recordings import MadeRecording, encrypted, wav

LARGE = 112 * CHUNK_SIZE
HASH = hash_password("anna's password")


def write_config(folder: Path, processor_url: str, **changed: str) -> Path:
    """Write settings and password files of a crypto server; return the settings file."""
    for name, text in [("keystore.txt", "keystore password"), ("crypto.txt", "")]:
        (folder / name).write_text(text or fake_processor.PASSWORD + "\n")
    values = {
        "listen": "127.0.0.1:0",
        "keystore": str(folder / "keystore"),
        "password_file": str(folder / "keystore.txt"),
        "audit": str(folder / "audit.jsonl"),
        "more": "",
        "url": processor_url,
    } | changed
    file = folder / "crypto.toml"
    file.write_text(
        f"""
        listen = "{values["listen"]}"
        {values["more"]}
        [[accounts]]
        name = "anna"
        roles = ["listener"]
        password_hash = "{HASH}"
        [keystore]
        folder = "{values["keystore"]}"
        password_file = "{values["password_file"]}"
        [processor]
        url = "{values["url"]}"
        password_file = "{folder / "crypto.txt"}"
        [audit]
        file = "{values["audit"]}"
        """
    )
    return file


def command(config: Path) -> list[str]:
    """Return the command line of a server."""
    return [sys.executable, "-m", "crypto_server", "--config", str(config)]


def add_key(folder: Path, pair: KeyPair) -> None:
    """Put a key into the server's keystore from outside."""
    keystore = Keystore.open(folder / "keystore", "keystore password")
    keystore.add(TENANT, pair.alias, pair.certificate, pair.private_key)


@asynccontextmanager
async def started(config: Path) -> AsyncIterator[tuple[Process, str]]:
    """Run a server as a child; give the process and its URL once it says that it is ready."""
    environ = os.environ | {"RECLAB_PARENT_PIPE": "stdin"}
    child = await asyncio.create_subprocess_exec(
        *command(config), stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environ
    )
    assert child.stdout is not None
    try:
        line = await asyncio.wait_for(child.stdout.readline(), 30)
        yield child, msgspec.json.decode(line)["ready"]["crypto"]
    finally:
        if child.returncode is None:
            child.kill()
        await child.communicate()


async def ended(child: Process) -> tuple[int, str]:
    """Wait for the child's end; return exit code and what it wrote to standard error."""
    _, errors = await asyncio.wait_for(child.communicate(), 30)
    assert child.returncode is not None
    return child.returncode, errors.decode()


async def test_life_of_the_process(tmp_path: Path, processor: FakeProcessor) -> None:
    """It starts without keys, finds one added outside, reloads on SIGHUP, ends well on SIGTERM."""
    made = encrypted(wav(1000), key_pair("one"))
    processor.recordings.append(made)
    config = write_config(tmp_path, processor.url)
    async with started(config) as (child, url), aiohttp.ClientSession() as http:
        headers = authorization("anna")
        async with http.get(url + made.path, headers=headers) as response:
            assert response.status == 409
        add_key(tmp_path, key_pair("one"))
        async with http.get(url + made.path, headers=headers) as response:
            assert await response.read() == made.plaintext
        (tmp_path / "audit.jsonl").rename(tmp_path / "audit.jsonl.1")
        child.send_signal(signal.SIGHUP)
        async with asyncio.timeout(20):  # the new file appears when the signal was handled
            while not (tmp_path / "audit.jsonl").exists():
                async with http.get(url + "/livez") as response:
                    assert response.status == 200
        async with http.get(url + made.path, headers=headers) as response:
            assert response.status == 200
        child.send_signal(signal.SIGTERM)
        code, errors = await ended(child)
    assert code == 0
    assert len((tmp_path / "audit.jsonl.1").read_text().splitlines()) == 2
    assert len((tmp_path / "audit.jsonl").read_text().splitlines()) == 1
    assert "Traceback" not in errors
    for secret in ("keystore password", fake_processor.PASSWORD, "anna's password"):
        assert secret not in errors + (tmp_path / "audit.jsonl.1").read_text()


async def test_ends_with_its_parent(tmp_path: Path) -> None:
    """When the parent's pipe closes, the server ends by itself."""
    async with started(write_config(tmp_path, "http://127.0.0.1:1")) as (child, _):
        assert child.stdin is not None
        child.stdin.close()
        assert (await ended(child))[0] == 0


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"more": "colour = 1"}, "`colour` is an unknown setting"),
        ({"more": "playback.concurrent = 0"}, "`playback.concurrent`: expected `int` >= 1"),
        ({"url": "file:///etc/passwd"}, "`processor.url` is not a URL of the form http://"),
        ({"url": "http://u:p@h"}, "`processor.url` is not a URL of the form http://"),
        ({"listen": "nowhere"}, "is not an address of the form host:port"),
        ({"password_file": "/nonexistent"}, "the password file /nonexistent cannot be read"),
        ({"password_file": ""}, "or RECLAB_KEYSTORE_PASSWORD in the environment"),
        ({"keystore": "/dev/null/keystore"}, "the keystore folder /dev/null/keystore cannot be"),
        ({"audit": "/nonexistent/audit"}, "the audit file /nonexistent/audit cannot be written"),
    ],
)
async def test_bad_settings_are_one_sentence(
    tmp_path: Path, changed: dict[str, str], sentence: str
) -> None:
    """Whatever cannot be used: exit code 2 and one line on standard error."""
    config = write_config(tmp_path, "http://127.0.0.1:1", **changed)
    child = await asyncio.create_subprocess_exec(*command(config), stdout=PIPE, stderr=PIPE)
    code, errors = await ended(child)
    assert code == 2
    assert sentence in errors
    assert len(errors.splitlines()) == 1


async def test_wrong_keystore_password_and_taken_port(tmp_path: Path) -> None:
    """A password that opens no entry, and a port in use, are told at start with exit code 2."""
    add_key(tmp_path, key_pair("one"))
    async with started(write_config(tmp_path, "http://127.0.0.1:1")) as (_, url):
        config = write_config(tmp_path, "http://127.0.0.1:1", listen=url.removeprefix("http://"))
        child = await asyncio.create_subprocess_exec(*command(config), stdout=PIPE, stderr=PIPE)
        code, errors = await ended(child)
        assert (code, "cannot listen on TCP" in errors) == (2, True)
    environ = os.environ | {"RECLAB_KEYSTORE_PASSWORD": "mistaken"}
    child = await asyncio.create_subprocess_exec(
        *command(config), stdout=PIPE, stderr=PIPE, env=environ
    )
    code, errors = await ended(child)
    assert (code, "opens none of the 1 entries" in errors) == (2, True)
    assert "mistaken" not in errors


class LargeFileProcessor(FakeProcessor):
    """A processor whose stored bytes lie in a file."""

    file: Path

    async def play(self, request: web.Request) -> web.StreamResponse:
        """Answer the file."""
        await self._find(request)
        return web.FileResponse(self.file)


def make_large(file: Path, pair: KeyPair) -> tuple[MadeRecording, str]:
    """Write a large ciphertext to `file`; return the recording and its plaintext's SHA-256."""
    key = SessionKey.generate()
    encryptor = MediaEncryptor(key)
    digest = hashlib.sha256()
    source = random.Random(5)
    with file.open("wb") as stored:
        for _ in range(LARGE // CHUNK_SIZE):
            piece = source.randbytes(CHUNK_SIZE)
            digest.update(piece)
            stored.write(encryptor.update(piece))
        stored.write(encryptor.finalize())
    small = encrypted(wav(1000), pair, recording_id="LARGE")
    digests = encryptor.digests
    mac = media_mac(key, media_id="LARGE.wav", iv=encryptor.iv, digests=digests)
    lab = Lab(size=digests.size, sha256=digests.sha256, chunks=list(digests.chunks), mac=mac)
    envelope = Envelope(
        recipients=wrap_session_key(key, [pair.certificate]),
        algorithm=key.algorithm,
        iv=encryptor.iv,
    )
    made = small.changed(
        mediaId="LARGE.wav", size=LARGE, pkcs7=envelope.to_pem(), lab=lab.to_wire()
    )
    return made, digest.hexdigest()


@pytest.mark.slow
async def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Playing 112 MiB, twice at the same time, takes a few chunks of memory and is all right."""
    made, digest = make_large(tmp_path / "large.bin", key_pair("one"))
    processor = LargeFileProcessor([made])
    processor.file = tmp_path / "large.bin"
    add_key(tmp_path, key_pair("one"))

    async def listen(http: aiohttp.ClientSession, url: str) -> tuple[str, str]:
        async with http.get(url + made.path, headers=authorization("anna")) as response:
            received = hashlib.sha256()
            async for piece in response.content.iter_any():
                received.update(piece)
            return response.headers["Content-Length"], received.hexdigest()

    async with (
        fake_processor.running(processor),
        started(write_config(tmp_path, processor.url)) as (child, url),
        aiohttp.ClientSession() as http,
    ):
        async with http.get(url + "/livez") as response:
            assert response.status == 200
        before = peak_memory(child.pid)
        for heard in await asyncio.gather(listen(http, url), listen(http, url)):
            assert heard == (str(LARGE), digest)
        growth = peak_memory(child.pid) - before
    assert growth < 64 << 20  # two playbacks of some chunks each, and one scrypt check of 16 MiB


def peak_memory(pid: int) -> int:
    """Return the highest resident size of a process so far, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024

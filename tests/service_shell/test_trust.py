"""Whom clients believe, and how they say that they do not."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from service_shell import file_watch
from service_shell.settings import SettingsError
from service_shell.tls import ServerTls
from service_shell.trust import (
    TrustSettings,
    certificate_fault,
    client_context,
    tls_fault,
    trusting,
    unreached,
)
from tests.service_shell.secured import LONG_AGO, believer, ca_file, issue
from tests.service_shell.served import serving


async def fault_of(url: str, root: Path | None) -> str:
    """What is said of a server by a client that believes the CA of `root` (None: the system's)."""
    context = believer(root) if root else client_context("")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as http:
        try:
            async with http.get(url) as answer:
                return str(answer.status)
        except aiohttp.ClientError as error:
            return unreached("it", error).removeprefix("it cannot be reached: ")


def append(file: Path, source: Path) -> None:
    """Put a file's text behind another one's."""
    file.write_text(file.read_text() + source.read_text())


@pytest.mark.parametrize(
    ("host", "age", "said"),
    [
        ("127.0.0.1", timedelta(0), "200"),
        ("127.0.0.2", timedelta(0), "the certificate of {at} was refused: it is for another host"),
        ("127.0.0.1", LONG_AGO, "the certificate of {at} was refused: it has expired"),
        (
            "127.0.0.1",
            timedelta(days=-1),
            "the certificate of {at} was refused: it is not valid yet",
        ),
    ],
)
async def test_what_a_certificate_has_to_be(
    tmp_path: Path, host: str, age: timedelta, said: str
) -> None:
    """For this host, in its time: else one sentence that names host and reason."""
    issue(tmp_path)  # the CA is of today
    async with serving(tls=ServerTls(issue(tmp_path, host=host, age=age))) as service:
        fault = await fault_of(f"https://{service.address}/livez", tmp_path)
    assert fault == said.format(at=service.address)


async def test_a_ca_that_is_not_trusted(tmp_path: Path) -> None:
    """A server that another CA vouches for is refused, by those of the system and by a file."""
    async with serving(tls=ServerTls(issue(tmp_path / "theirs"))) as service:
        issue(tmp_path / "ours")
        for root in (None, tmp_path / "ours"):
            fault = await fault_of(f"https://{service.address}/livez", root)
            assert fault.startswith(f"the certificate of {service.address} was refused: its ")
            assert fault.endswith("in no CA file that is trusted here")


async def test_a_server_without_tls() -> None:
    """A server that speaks plain HTTP is not asked in plain instead."""
    async with serving() as service:
        fault = await fault_of(f"https://{service.address}/livez", None)
    assert fault == f"{service.address} does not speak TLS"


async def test_other_errors_are_not_of_tls() -> None:
    """Nobody there is no matter of certificates."""
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientConnectorError) as refused:
            await http.get("https://127.0.0.1:1/")
    assert tls_fault(refused.value) == ""
    assert certificate_fault(TimeoutError(), "lab", 1) == ""
    assert unreached("the store", refused.value) == "the store cannot be reached"


@pytest.mark.parametrize(
    ("content", "said"), [(None, r"cannot be read \(No such file"), ("x", "holds no certificates")]
)
def test_a_ca_file_that_cannot_be_used(tmp_path: Path, content: str | None, said: str) -> None:
    """A CA file that is missing or none is refused at the start."""
    file = tmp_path / "ca.pem"
    if content:
        file.write_text(content)
    with pytest.raises(SettingsError, match=rf"^`trust\.ca_file`: .*ca\.pem {said}"):
        client_context(str(file))


async def test_a_ca_that_is_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate that comes into the file counts for connections after it."""
    monkeypatch.setattr(file_watch, "LOOK_SECONDS", 0.01)
    issue(tmp_path / "ours")
    async with serving(tls=ServerTls(issue(tmp_path / "theirs"))) as service:
        file = Path(ca_file(tmp_path / "ours"))
        async with (
            trusting(TrustSettings(str(file))) as context,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as http,
        ):
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await http.get(f"https://{service.address}/livez")
            append(file, Path(ca_file(tmp_path / "theirs")))
            async with asyncio.timeout(20):
                while True:
                    try:
                        async with http.get(f"https://{service.address}/livez") as answer:
                            assert answer.status == 200
                            break
                    except aiohttp.ClientConnectorCertificateError:
                        await asyncio.sleep(0.01)

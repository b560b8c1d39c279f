"""The certificate of a service: what is refused, what is warned of, and how it is renewed."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import structlog
from cryptography import x509

from service_shell import file_watch
from service_shell.settings import SettingsError
from service_shell.tls import ServerTls, TlsSettings, open_tls
from tests.peers import peer
from tests.service_shell.secured import LONG_AGO, believer, issue


def with_file(settings: TlsSettings, setting: str, file: Path | str) -> TlsSettings:
    """The settings with another file."""
    return msgspec.structs.replace(settings, **{setting: str(file)})


@asynccontextmanager
async def listening(tls: ServerTls) -> AsyncIterator[int]:
    """A port that speaks TLS, says nothing, and waits for the peer's end."""

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(wait, "127.0.0.1", 0, ssl=tls.context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def shown(port: int, context: ssl.SSLContext, name: str = "127.0.0.1") -> int:
    """The serial number of the certificate that a new connection is shown."""
    async with asyncio.timeout(20):
        _, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname=name
        )
        found: ssl.SSLObject = writer.get_extra_info("ssl_object")
        der = found.getpeercert(binary_form=True)
        assert der is not None
        writer.close()
        await writer.wait_closed()
    return x509.load_der_x509_certificate(der).serial_number


def serial(settings: TlsSettings) -> int:
    """The serial number of the certificate in the file."""
    return x509.load_pem_x509_certificate(Path(settings.certificate).read_bytes()).serial_number


def overwrite(file: str, source: str) -> None:
    """Copy a file over another one, as a person does."""
    Path(file).write_bytes(Path(source).read_bytes())


def test_no_settings_are_no_tls() -> None:
    """Without a certificate and a key there is none, whatever the version is."""
    assert open_tls(TlsSettings(minimum_version="1.3")) is None


@pytest.mark.parametrize(
    ("setting", "content", "said"),
    [
        ("certificate", None, r"`tls\.certificate`: .*gone cannot be read \(No such file"),
        ("key", None, r"`tls\.key`: .*gone cannot be read \(No such file"),
        ("certificate", "hello", r"`tls\.certificate`: .*junk holds no certificate in PEM"),
        ("key", "hello", r"`tls\.key`: .*junk holds no private key in PEM"),
        ("certificate", "", r"^`tls\.certificate` is missing: TLS needs both$"),
        ("key", "", r"^`tls\.key` is missing: TLS needs both$"),
        ("key_password_file", None, r"`tls\.key_password_file`: .*gone cannot be read"),
    ],
)
def test_files_that_cannot_be_used(
    tmp_path: Path, setting: str, content: str | None, said: str
) -> None:
    """Each file that is missing or something else is refused in a sentence that names it."""
    file: Path | str = tmp_path / "gone" if content is None else tmp_path / "junk"
    if content:
        Path(file).write_text(content)
        Path(file).chmod(0o600)
    elif content == "":
        file = ""
    with pytest.raises(SettingsError, match=said):
        open_tls(with_file(issue(tmp_path), setting, file))


def test_a_key_of_another_certificate(tmp_path: Path) -> None:
    """A key and a certificate that do not belong together are told apart from a broken file."""
    other = issue(tmp_path, name="other")
    with pytest.raises(
        SettingsError, match=r"`sip\.tls\.key`: .*other\.key\.pem is not the key of"
    ):
        ServerTls(with_file(issue(tmp_path), "key", other.key), section="sip.tls")


@pytest.mark.parametrize(("mode", "fine"), [(0o600, True), (0o640, True), (0o604, False)])
def test_a_key_that_everybody_may_read(tmp_path: Path, mode: int, fine: bool) -> None:
    """A key is for its owner and group: one that is open to everybody is refused."""
    settings = issue(tmp_path)
    Path(settings.key).chmod(mode)
    if fine:
        assert open_tls(settings) is not None
        return
    with pytest.raises(
        SettingsError, match=r"is open to everybody: its mode must be 0600, or 0640"
    ):
        open_tls(settings)


@pytest.mark.peer
def test_an_encrypted_key(tmp_path: Path) -> None:
    """It opens with the password of a file; without one, or with another, that is said."""
    settings = issue(tmp_path)
    key, password = tmp_path / "encrypted.pem", tmp_path / "password"
    password.write_text("hunter2\n")
    command = [str(peer("openssl")), "pkcs8", "-topk8", "-in", settings.key, "-out", str(key)]
    subprocess.run([*command, "-passout", f"file:{password}"], check=True, capture_output=True)
    for file in (key, password):
        file.chmod(0o600)
    settings = with_file(settings, "key", key)
    with pytest.raises(
        SettingsError, match=r"is encrypted, and `tls\.key_password_file` is not set"
    ):
        open_tls(settings)
    settings = with_file(settings, "key_password_file", password)
    assert open_tls(settings) is not None
    password.write_text("another\n")
    with pytest.raises(SettingsError, match="cannot be opened with the password of") as refused:
        open_tls(settings)
    assert "another" not in str(refused.value)


@pytest.mark.parametrize(
    ("age", "said"),
    [
        (timedelta(0), None),
        (LONG_AGO, "The certificate for TLS has expired, clients refuse it"),
        (timedelta(days=390), "The certificate for TLS ends soon"),
        (timedelta(days=-1), "The certificate for TLS is not valid yet, clients refuse it"),
    ],
)
def test_the_time_of_a_certificate(tmp_path: Path, age: timedelta, said: str | None) -> None:
    """Out of its time a certificate is taken, because a start matters more, and the log warns."""
    with structlog.testing.capture_logs() as lines:
        assert open_tls(issue(tmp_path, age=age)) is not None
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == (
        [said] if said else []
    )


def test_the_end_is_warned_of_once_a_day(tmp_path: Path) -> None:
    """A service that runs for months says each day that its certificate ends, and no more often."""
    now = datetime.now(UTC)
    times = iter([now, now, now, now + timedelta(days=400), *[now + timedelta(days=400.5)] * 2])
    with structlog.testing.capture_logs() as lines:
        tls = ServerTls(issue(tmp_path), clock=lambda: next(times))
        for _ in range(3):
            tls.look()
    assert [line["event"] for line in lines] == [
        "The certificate for TLS has expired, clients refuse it"
    ]


async def test_a_renewed_certificate(tmp_path: Path) -> None:
    """New connections are shown the new one, by name or by address; an old one goes on."""
    settings = issue(tmp_path)
    context, tls = believer(tmp_path), ServerTls(settings)
    async with listening(tls) as port:
        first = serial(settings)
        _, old = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        assert await shown(port, context) == first
        issue(tmp_path)
        tls.look()
        assert serial(settings) != first
        assert await shown(port, context) == await shown(port, context, "localhost")
        assert await shown(port, context) == serial(settings)
        old.write(b"still here")
        await old.drain()
        old.close()
        await old.wait_closed()


async def test_a_renewal_that_is_half_done(tmp_path: Path) -> None:
    """While the new key is missing the old pair serves, said once; with it the new one does."""
    settings = issue(tmp_path)
    context, tls, first = believer(tmp_path), ServerTls(settings), serial(settings)
    new = issue(tmp_path, name="new")
    async with listening(tls) as port:
        overwrite(settings.certificate, new.certificate)
        with structlog.testing.capture_logs() as lines:
            tls.look()
            tls.look()
        assert [line["log_level"] for line in lines] == ["error"]
        assert "is not the key of" in lines[0]["reason"]
        assert await shown(port, context) == first
        overwrite(settings.key, new.key)
        tls.look()
        assert await shown(port, context) == serial(new)


def test_a_renewal_whose_mode_is_mended(tmp_path: Path) -> None:
    """A new key that is open to everybody is not taken, and is once its mode is right."""
    settings = issue(tmp_path)
    tls = ServerTls(settings)
    issue(tmp_path)
    Path(settings.key).chmod(0o604)
    with structlog.testing.capture_logs() as lines:
        tls.look()
        Path(settings.key).chmod(0o600)
        tls.look()
    assert [line["log_level"] for line in lines] == ["error", "info"]
    assert "is open to everybody" in lines[0]["reason"]


async def test_renewals_are_seen_while_serving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has to say that a file was renewed, and the look-out ends with the service."""
    monkeypatch.setattr(file_watch, "LOOK_SECONDS", 0.01)
    settings = issue(tmp_path)
    context, tls = believer(tmp_path), ServerTls(settings)
    async with listening(tls) as port, tls.following():
        issue(tmp_path)
        async with asyncio.timeout(20):
            while await shown(port, context) != serial(settings):
                await asyncio.sleep(0.01)
    assert [task.get_name() for task in asyncio.all_tasks()].count("files that may change") == 0


async def test_the_lowest_version(tmp_path: Path) -> None:
    """With 1.3 as the lowest an older client is refused; nothing below 1.2 is spoken at all."""
    settings = issue(tmp_path)
    for lowest in ("1.2", "1.3"):
        tls = ServerTls(
            msgspec.convert(
                {**msgspec.structs.asdict(settings), "minimum_version": lowest}, TlsSettings
            )
        )
        async with listening(tls) as port:
            context = believer(tmp_path)
            assert await shown(port, context)
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            if lowest == "1.2":
                assert await shown(port, context)
                continue
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await shown(port, context)

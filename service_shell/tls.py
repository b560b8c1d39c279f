"""TLS of a listening service: its certificate and key, and their renewal without a restart.

What cannot be used is refused at the start, in one sentence; a certificate that has expired is not:
the log warns, and clients refuse it. A renewed pair serves the connections that come after it; one
that does not fit together leaves the old pair in force.
"""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple, NoReturn

import msgspec
import structlog
from cryptography import x509

from service_shell.file_watch import FileWatch, repeating
from service_shell.settings import SettingsError

HANDSHAKE_SECONDS = 10.0
"""How long a client may take until TLS is agreed on; then its connection is cut."""
GOODBYE_SECONDS = 5.0
_SOON = timedelta(days=14)
_DAY = timedelta(days=1)
_EVERYBODY = 0o007
_LARGEST_FILE = 1 << 20
# What OpenSSL says of a key file depends on how it is broken.
_UNREADABLE_KEY = (None, "PEM_LIB", "BAD_DECRYPT", "BAD_PASSWORD_READ", "NO_START_LINE")
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_log = structlog.get_logger()


class TlsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[tls]``: a certificate with its chain and its key, PEM files. Without them: no TLS.

    `key_password_file` opens an encrypted key. Neither file may be open to everybody.
    """

    certificate: str = ""
    key: str = ""
    key_password_file: str = ""
    minimum_version: Literal["1.2", "1.3"] = "1.2"


class ServerTls:
    """The certificate that a service shows; `context` is what its listening sockets take.

    `section` is how the settings are named in errors; `clock` says the time in UTC.
    Raises `SettingsError`.
    """

    def __init__(
        self,
        settings: TlsSettings,
        *,
        section: str = "tls",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._files = _PairFiles(settings, section)
        self._clock = clock
        self._told = clock()
        self._watch = FileWatch(self._files.names)
        self._pair = self._files.load()
        # The pair itself is put in at each connection, so that it changes as a whole.
        self.context = _context(settings)
        self.context.sni_callback = self._show
        self._warn()

    def following(self) -> AbstractAsyncContextManager[None]:
        """Take a renewed certificate within seconds, and warn of its end, while the block runs."""
        return repeating(self.look)

    def look(self) -> None:
        """Take the pair anew when its files have changed; say once a day that it ends."""
        if self._watch.changed():
            try:
                self._pair = self._files.load()
            except SettingsError as error:
                reason = str(error)
                _log.error("A renewed certificate was unusable, the old one stays", reason=reason)
                return
            ends = self._pair.ends.isoformat()
            _log.info("A renewed certificate was taken", file=self._files.certificate, ends=ends)
            self._warn()
        elif self._clock() - self._told >= _DAY:
            self._warn()

    def _show(self, sock: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Give a new connection the pair in force (OpenSSL asks for every one, SNI or none)."""
        sock.context = self._pair.context

    def _warn(self) -> None:
        now = self._told = self._clock()
        told = {"file": self._files.certificate, "ends": self._pair.ends.isoformat()}
        if self._pair.ends <= now:
            _log.warning("The certificate for TLS has expired, clients refuse it", **told)
        elif self._pair.begins > now:
            _log.warning("The certificate for TLS is not valid yet, clients refuse it", **told)
        elif self._pair.ends - now <= _SOON:
            _log.warning("The certificate for TLS ends soon", **told)


class _Pair(NamedTuple):
    """A certificate with its key, ready for connections, and the time that it is valid."""

    context: ssl.SSLContext
    begins: datetime
    ends: datetime


class _PairFiles:
    """The files of a pair, as the settings name them."""

    def __init__(self, settings: TlsSettings, section: str) -> None:
        self._settings = settings
        self._section = section
        self.certificate = settings.certificate
        for setting in ("certificate", "key"):
            if not getattr(settings, setting):
                raise SettingsError(f"`{section}.{setting}` is missing: TLS needs both")

    @property
    def names(self) -> list[str]:
        """The files that may be renewed."""
        settings = self._settings
        names = (settings.certificate, settings.key, settings.key_password_file)
        return [name for name in names if name]

    def load(self) -> _Pair:
        """Read the files. Raises `SettingsError`, naming the one that cannot be used."""
        try:
            chain = x509.load_pem_x509_certificates(self._read("certificate"))
        except ValueError:
            what = "holds no certificate in PEM that can be read"
            raise self._wrong("certificate", what) from None
        self._read("key", private=True)
        context = _context(self._settings)
        try:
            context.load_cert_chain(self.certificate, self._settings.key, self._password())
        except ssl.SSLError as error:
            raise self._unusable(error) from None
        except OSError as error:  # gone since it was read above
            raise self._wrong("certificate", f"cannot be read ({error.strerror})") from None
        return _Pair(context, chain[0].not_valid_before_utc, chain[0].not_valid_after_utc)

    def _password(self) -> Callable[[], bytes] | bytes:
        if self._settings.key_password_file:
            return self._read("key_password_file", private=True).rstrip(b"\r\n")
        return self._no_password  # without it OpenSSL would ask at the terminal

    def _no_password(self) -> NoReturn:
        raise self._wrong(
            "key", f"is encrypted, and `{self._section}.key_password_file` is not set"
        )

    def _read(self, setting: str, *, private: bool = False) -> bytes:
        try:
            with Path(getattr(self._settings, setting)).open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                text = file.read(_LARGEST_FILE)
        except OSError as error:
            raise self._wrong(setting, f"cannot be read ({error.strerror})") from None
        if private and stat.S_IMODE(mode) & _EVERYBODY:
            raise self._wrong(setting, "is open to everybody: its mode must be 0600, or 0640")
        return text

    def _unusable(self, error: ssl.SSLError) -> SettingsError:
        if error.reason == "KEY_VALUES_MISMATCH":
            return self._wrong("key", f"is not the key of {self.certificate}")
        if error.reason in _UNREADABLE_KEY:
            if self._settings.key_password_file:
                return self._wrong("key", "cannot be opened with the password of its file")
            return self._wrong("key", "holds no private key in PEM that can be read")
        reason = str(error.reason).replace("_", " ").lower()
        return self._wrong("certificate", f"cannot be used for TLS ({reason})")

    def _wrong(self, setting: str, what: str) -> SettingsError:
        file = getattr(self._settings, setting)
        return SettingsError(f"`{self._section}.{setting}`: {file} {what}")


def _context(settings: TlsSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[settings.minimum_version]
    return context


def open_tls(settings: TlsSettings, *, section: str = "tls") -> ServerTls | None:
    """Return the TLS of a service, None where none is set. Raises `SettingsError`."""
    if not settings.certificate and not settings.key:
        return None
    return ServerTls(settings, section=section)

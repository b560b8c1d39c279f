"""Whom a client of ours believes: the system's certificate authorities, and those of a CA file.

There is no way to go on with a server that was not proven. Why one was refused is one sentence that
names it.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import msgspec
import structlog

from service_shell.file_watch import FileWatch, repeating
from service_shell.settings import SettingsError

_WORDS = {
    9: "it is not valid yet",
    10: "it has expired",
    18: "it is self-signed, and in no CA file that is trusted here",
    19: "its root is in no CA file that is trusted here",
    20: "its issuer is in no CA file that is trusted here",
    21: "its issuer is in no CA file that is trusted here",
    62: "it is for another host",
    64: "it is for another host",
}
"""OpenSSL's verdicts (X509_V_ERR_…) that a person would have to look up."""
_log = structlog.get_logger()


class TrustSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[trust]``: PEM certificates of authorities that are believed beside the system's."""

    ca_file: str = ""


def client_context(ca_file: str, *, name: str = "`trust.ca_file`") -> ssl.SSLContext:
    """Return what an HTTPS or SIP client connects with. `name` is how errors call the file.

    Raises `SettingsError` where the file holds no certificates.
    """
    context = ssl.create_default_context()
    if ca_file:
        _add(context, ca_file, name)
    return context


@asynccontextmanager
async def trusting(settings: TrustSettings) -> AsyncIterator[ssl.SSLContext]:
    """Give the context of a service's clients; certificates added to the file count at once.

    One that is taken out of the file is believed until the service is started anew.
    """
    context = client_context(settings.ca_file)
    if not settings.ca_file:
        yield context
        return
    watch = FileWatch([settings.ca_file])

    def look() -> None:
        if watch.changed():
            try:
                _add(context, settings.ca_file, "`trust.ca_file`")
                _log.info("A changed CA file was taken", file=settings.ca_file)
            except SettingsError as error:
                _log.error("A changed CA file was unusable", reason=str(error))

    async with repeating(look):
        yield context


def _add(context: ssl.SSLContext, ca_file: str, name: str) -> None:
    try:
        context.load_verify_locations(ca_file)
    except ssl.SSLError:
        raise SettingsError(f"{name}: {ca_file} holds no certificates in PEM") from None
    except OSError as error:
        raise SettingsError(f"{name}: {ca_file} cannot be read ({error.strerror})") from None


def certificate_fault(error: BaseException, host: str, port: int | None) -> str:
    """Return why TLS with a server was not agreed on, empty where the error is not about that."""
    at = f"{host}:{port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        words = _WORDS.get(error.verify_code) or _plain(error.verify_message)
        return f"the certificate of {at} was refused: {words}"
    if isinstance(error, ssl.SSLError):
        if error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
            return f"{at} does not speak TLS"
        return f"TLS with {at} was not agreed on ({_plain(error.reason or str(error))})"
    return ""


def tls_fault(error: BaseException) -> str:
    """Return why an HTTPS server was refused, empty where aiohttp's error is not about that."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return certificate_fault(error.certificate_error, error.host, error.port)
    if isinstance(error, aiohttp.ClientConnectorError):
        return certificate_fault(error.os_error, error.host, error.port)
    return ""


def unreached(what: str, error: BaseException) -> str:
    """Return the sentence for a server that cannot be reached, with what TLS says about it."""
    fault = tls_fault(error)
    return f"{what} cannot be reached: {fault}" if fault else f"{what} cannot be reached"


def _plain(text: str) -> str:
    return text.strip().rstrip(".").replace("_", " ").lower()

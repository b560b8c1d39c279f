"""Certificates for services of a test, and clients that believe them or do not."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from reclab.service_certificates import ServiceCertificates
from service_shell.tls import TlsSettings
from service_shell.trust import client_context

LONG_AGO = timedelta(days=800)


def issue(
    root: Path, *, host: str = "127.0.0.1", age: timedelta = timedelta(0), name: str = "test"
) -> TlsSettings:
    """Issue a certificate by the CA of the folder `root`, so long ago; return its settings."""
    certificates = ServiceCertificates(root)
    certificates.issue({name: f"{host}:1"}, datetime.now(UTC) - age)
    return msgspec.convert(certificates.settings(name), TlsSettings)


def ca_file(root: Path) -> str:
    """The CA's certificate."""
    return str(ServiceCertificates(root).ca_file)


def believer(root: Path) -> ssl.SSLContext:
    """A client that believes the CA of the folder `root`."""
    return client_context(ca_file(root))

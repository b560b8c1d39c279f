"""Trust stores: how CA files are read, and what a check asks; the chains have a table apart."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta, timezone
from pathlib import Path

import pytest

from recording_format.bundle import MAX_BUNDLE_TEXT
from recording_format.certificates import RecordingCertificate
from recording_format.errors import (
    CertificateExpired,
    CertificateKeyTooSmall,
    CertificateNotYetValid,
    CertificateRefused,
    CertificateUnreadable,
    CertificateUntrusted,
)
from recording_format.trust import CertificatePolicy, TrustStore
from tests.recording_format.authority import NOW, YEAR, issue, recorder, root, rsa_key
from tests.recording_format.chains.test_table import ROWS
from tests.recording_format.openssl import openssl

ROOT = root()
LEAF = recorder(1)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "ca.pem holds no certificate in PEM"),
        ("words", "ca.pem holds no certificate in PEM"),
        (
            ROOT.pem + LEAF.pem.replace("\n", " "),
            "certificate 2 of ca.pem is ruined: the line ends",
        ),
        (ROOT.pem + LEAF.pem[:-30], "ca.pem is ruined: the block BEGIN CERTIFICATE has no END"),
        (
            ROOT.pem + LEAF.pem.replace(LEAF.pem[28:93], ""),
            "certificate 2 of ca.pem is not an X.509",
        ),
        ("x" * (4 * 1024 * 1024 + 1), "ca.pem has 4194305 characters"),
    ],
)
def test_ruined_bundles_are_reported(text: str, fault: str) -> None:
    """A CA file that is ruined says which of its certificates it is."""
    with pytest.raises(CertificateUnreadable, match=fault):
        TrustStore.from_pem(text, name="ca.pem")


def test_dates_are_checked_at_each_use() -> None:
    """One store answers by the time it is asked for, in any order of times."""
    store = TrustStore.from_pem(ROOT.pem)
    leaf = LEAF.recording()
    for _ in range(2):
        store.check(leaf, leaf.not_before)
        store.check(leaf, leaf.not_after)
        with pytest.raises(CertificateNotYetValid):
            store.check(leaf, leaf.not_before - SECOND)
        with pytest.raises(CertificateExpired):
            store.check(leaf, leaf.not_after + SECOND / 1000)
        store.check(leaf, NOW)


def test_now_may_be_in_any_zone() -> None:
    """The same moment told in another zone has the same verdict."""
    store = TrustStore.from_pem(ROOT.pem)
    leaf = LEAF.recording()
    east = timezone(timedelta(hours=14))
    store.check(leaf, leaf.not_after.astimezone(east))
    with pytest.raises(CertificateExpired, match=r"expired on 2027-03-01 12:00:00 UTC$"):
        store.check(leaf, (leaf.not_after + SECOND).astimezone(east))


def test_the_chain_is_told() -> None:
    """The chain begins with the certificate and ends with its root; the bundle tells its size."""
    store = TrustStore.from_pem(ROOT.pem + ROOT.pem + recorder(2).pem)
    assert store.chain(LEAF.recording(), NOW) == (LEAF.certificate, ROOT.certificate)
    assert store.count == 2
    assert TrustStore.empty().count == 0


def test_a_file_is_bounded() -> None:
    """A file that is no CA file is refused by its size before it is looked at."""
    with pytest.raises(CertificateUnreadable, match=r"^ca\.pem has 4194305 bytes, too many$"):
        TrustStore.from_bytes(b"x" * (MAX_BUNDLE_TEXT + 1), name="ca.pem")


def test_checks_may_run_at_once() -> None:
    """Threads that ask one store at different moments each get the verdict of their own moment."""
    store = TrustStore.from_pem(ROOT.pem)
    leaf = LEAF.recording()

    def good(days: int) -> bool:
        try:
            store.check(leaf, leaf.not_after + timedelta(days=days))
        except CertificateExpired:
            return False
        return True

    moments = [-1, 1] * 100
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(good, moments)) == [days < 0 for days in moments]


def test_key_size_floor_is_a_setting() -> None:
    """A key below the floor is refused with its size; another floor takes it."""
    small = issue("small", rsa_key(1, 1024), issuer=ROOT).recording()
    store = TrustStore.from_pem(ROOT.pem)
    with pytest.raises(CertificateKeyTooSmall, match=r"a key of 1024 bits, fewer than 2048") as got:
        store.check(small, NOW)
    assert got.value.reason == "key-too-small"
    store.check(small, NOW, CertificatePolicy(minimum_bits=1024))
    with pytest.raises(CertificateKeyTooSmall, match="fewer than 4096"):
        store.check(LEAF.recording(), NOW, CertificatePolicy(minimum_bits=4096))


def test_reasons_are_distinct() -> None:
    """Each kind of refusal has its own word for counters."""
    kinds = CertificateRefused.__subclasses__()
    assert len({kind.reason for kind in kinds}) == len(kinds) >= 9


@pytest.mark.peer
def test_version_1_certificates_are_accepted(tmp_path: Path) -> None:
    """Plain `openssl x509 -req` makes v1 certificates: they may be leaf and root."""
    for line in (
        "req -newkey rsa:2048 -nodes -keyout ca.key -out ca.req -subj /CN=ca",
        "x509 -req -in ca.req -signkey ca.key -out ca.pem -days 10",
        "req -newkey rsa:2048 -nodes -keyout leaf.key -out leaf.req -subj /CN=leaf",
        "x509 -req -in leaf.req -CA ca.pem -CAkey ca.key -set_serial 16 -out leaf.pem -days 10",
    ):
        openssl(*line.split(), folder=tmp_path)
    leaf = RecordingCertificate.load((tmp_path / "leaf.pem").read_text(), name="leaf.pem")
    store = TrustStore.from_pem((tmp_path / "ca.pem").read_text())
    store.check(leaf, leaf.not_before + timedelta(days=1))


@pytest.mark.peer
def test_the_documents_self_signed_certificate_is_accepted(tmp_path: Path) -> None:
    """`openssl req -new -x509`, as the documents have it, is trusted when it is in the CA file."""
    openssl("genrsa", "-out", "tenant.key", "2048", folder=tmp_path)
    openssl(
        *("req", "-new", "-x509", "-key", "tenant.key", "-out", "tenant.pem", "-days", "3650"),
        *("-subj", "/CN=Genesys Recording/C=US/ST=California/O=Genesys"),
        folder=tmp_path,
    )
    text = (tmp_path / "tenant.pem").read_text()
    certificate = RecordingCertificate.load(text, name="tenant.pem")
    assert certificate.issuer == "CN=Genesys Recording,C=US,ST=California,O=Genesys"
    TrustStore.from_pem(text).check(certificate, certificate.not_before + YEAR)
    with pytest.raises(CertificateUntrusted):
        TrustStore.from_pem(ROOT.pem).check(certificate, certificate.not_before + SECOND)


@pytest.mark.peer
def test_a_serial_of_zero_is_judged_like_any_other(tmp_path: Path) -> None:
    """Old tools made serials of zero: trusted in the CA file, refused by name outside of it."""
    line = "req -x509 -newkey rsa:2048 -nodes -keyout k -out c -subj /CN=zero -set_serial 0"
    openssl(*line.split(), folder=tmp_path)
    text = (tmp_path / "c").read_text()
    certificate = RecordingCertificate.load(text, name="c")
    moment = certificate.not_before + SECOND
    TrustStore.from_pem(text).check(certificate, moment)
    with pytest.raises(CertificateUntrusted, match=r"CN=zero \(serial 0, c\)"):
        TrustStore.from_pem(ROOT.pem).check(certificate, moment)


_VERDICTS = """
from tests.recording_format.chains.test_table import ROWS
for row in ROWS:
    print(row.title, "|", type(row.verdict()).__name__)
"""


def test_the_security_level_of_the_system_changes_nothing(tmp_path: Path) -> None:
    """Also where `cryptography` uses the system's OpenSSL, its configuration is no part of this."""
    (tmp_path / "openssl.cnf").write_text(
        "openssl_conf = top\n[top]\nssl_conf = ssl\n[ssl]\nsystem_default = all\n"
        "[all]\nCipherString = DEFAULT:@SECLEVEL=5\nMinProtocol = TLSv1.3\n"
    )
    environment = {**os.environ, "OPENSSL_CONF": str(tmp_path / "openssl.cnf")}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", _VERDICTS],
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=True,
        timeout=120,
        text=True,
    )
    here = [f"{row.title} | {type(row.verdict()).__name__}" for row in ROWS]
    assert run.stdout.splitlines() == here

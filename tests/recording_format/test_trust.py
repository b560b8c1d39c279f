"""Whether a certificate may be used now: dates, key size and chains, compared with OpenSSL."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from recording_format.certificates import RecordingCertificate
from recording_format.errors import (
    CertificateExpired,
    CertificateKeyTooSmall,
    CertificateNotYetValid,
    CertificateRefused,
    CertificateUnreadable,
    CertificateUntrusted,
)
from recording_format.trust import TrustStore
from tests.recording_format.authority import NOW, YEAR, Issued, issue, recorder, root, rsa_key
from tests.recording_format.openssl import openssl

ROOT = root()
LEAF = recorder(1)
SECOND = timedelta(seconds=1)


def between(number: int, issuer: Issued, **shape: object) -> Issued:
    """Return an intermediate CA."""
    options = {"authority": True, "serial": 100 + number} | shape
    return issue(f"intermediate {number}", rsa_key(number + 3), issuer=issuer, **options)  # type: ignore[arg-type]  # each test knows its keywords


@dataclass(frozen=True)
class Case:
    """One chain: a leaf, the CA file, and what is expected of it."""

    title: str
    leaf: Issued
    bundle: list[Issued]
    refused: type[CertificateRefused] | None = None
    sentence: str = ""


def cases() -> list[Case]:
    """Return the table of chains."""
    inter1 = between(1, ROOT)
    inter2 = between(2, inter1)
    deep = issue("deep", rsa_key(1), issuer=inter2, serial=50)
    own = issue("self", rsa_key(1), serial=77)
    own_ca = issue("self ca", rsa_key(1), serial=78, authority=True)
    other = issue("other_ca", rsa_key(6), serial=2, authority=True)
    fake = issue("example_ca", rsa_key(7), serial=3, authority=True)
    by_fake = issue("by fake", rsa_key(1), issuer=fake, serial=51)
    broken_leaf = issue("broken", rsa_key(1), issuer=ROOT, serial=52, signing_key=rsa_key(7))
    no_ca = issue("no ca", rsa_key(4), issuer=ROOT, serial=53)
    by_no_ca = issue("by no ca", rsa_key(1), issuer=no_ca, serial=54)
    old_root = issue("old_ca", rsa_key(8), serial=4, authority=True, not_after=NOW - SECOND)
    young_root = issue("young_ca", rsa_key(8), serial=5, authority=True, not_before=NOW + SECOND)
    old_inter = between(3, ROOT, not_after=NOW - SECOND)
    flat = between(4, ROOT, path_length=0)
    too_deep = between(5, flat)
    broken_root = issue("example_ca", rsa_key(0), serial=1, authority=True, signing_key=rsa_key(7))
    renewed = issue("intermediate 1", rsa_key(9), issuer=ROOT, serial=55, authority=True)
    old_key = issue("rolling_ca", rsa_key(6), serial=6, authority=True, key_ids=True)
    new_key = issue(
        "rolling_ca", rsa_key(7), issuer=old_key, serial=7, authority=True, key_ids=True
    )
    by_new_key = issue("by new key", rsa_key(1), issuer=new_key, serial=56, key_ids=True)
    chain = [ROOT]
    for number in range(12):
        chain.append(between(100 + number % 3, chain[-1], serial=200 + number))
    untrusted, expired, early = CertificateUntrusted, CertificateExpired, CertificateNotYetValid
    return [
        Case("signed by a private CA", LEAF, [ROOT]),
        Case("self-signed, in the CA file", own, [own]),
        Case("self-signed CA, in the CA file", own_ca, [ROOT, own_ca]),
        Case("two intermediates", deep, [inter2, inter1, ROOT]),
        Case("two intermediates, another order", deep, [ROOT, inter1, inter2]),
        Case("other roots beside", LEAF, [other, ROOT]),
        Case("a fake root of the same name beside", LEAF, [ROOT, fake]),
        Case("a fake root of the same name before it", LEAF, [fake, ROOT]),
        Case("a renewed intermediate before the old one", deep, [ROOT, renewed, inter1, inter2]),
        Case("a broken twin of the root before it", LEAF, [broken_root, ROOT]),
        Case("a CA's new key under its old one", by_new_key, [old_key, new_key]),
        Case("a long chain", issue("far", rsa_key(1), issuer=chain[-1]), chain),
        Case("self-signed, unknown", own, [ROOT], untrusted, "no chain leads from"),
        Case("unknown CA", LEAF, [other], untrusted, "no chain leads from .*recorder 1 to a root"),
        Case("an intermediate lacks", deep, [inter2, ROOT], untrusted, "from .*intermediate 2 to"),
        Case("the root lacks", deep, [inter1, inter2], untrusted, "from .*intermediate 1 to"),
        Case("a CA's new key alone", by_new_key, [new_key], untrusted, "no chain leads from"),
        Case("signed by a fake of the same name", by_fake, [ROOT], untrusted, r"is not trusted"),
        Case("wrong signature", broken_leaf, [ROOT], untrusted, "signature failure"),
        Case("only a broken root", LEAF, [broken_root], untrusted, "no chain leads from"),
        Case(
            "issuer is no CA", by_no_ca, [no_ca, ROOT], untrusted, "no ca .*: invalid CA|no chain"
        ),
        Case(
            "path too long",
            issue("x", rsa_key(1), issuer=too_deep),
            [ROOT, flat, too_deep],
            untrusted,
            "path length",
        ),
        Case(
            "expired",
            issue("x", rsa_key(1), issuer=ROOT, not_after=NOW - SECOND),
            [ROOT],
            expired,
            r"^the certificate .*CN=x \(serial 10, c\.pem\) expired on 2026-03-01 11:59:59 UTC$",
        ),
        Case(
            "not yet valid",
            issue("x", rsa_key(1), issuer=ROOT, not_before=NOW + SECOND),
            [ROOT],
            early,
            r"^the certificate .*CN=x .* is not valid before 2026-03-01 12:00:01 UTC$",
        ),
        Case(
            "expired root",
            issue("x", rsa_key(1), issuer=old_root),
            [old_root],
            expired,
            r"CN=x .* cannot be used: .*CN=old_ca \(serial 4\) above it expired on 2026-03-01",
        ),
        Case(
            "root not yet valid",
            issue("x", rsa_key(1), issuer=young_root),
            [young_root],
            early,
            r"CN=young_ca \(serial 5\) above it is not valid before 2026-03-01",
        ),
        Case(
            "expired intermediate",
            issue("x", rsa_key(1), issuer=old_inter),
            [ROOT, old_inter],
            expired,
            r"intermediate 3 \(serial 103\) above it expired on",
        ),
    ]


CASES = cases()


def bundle_text(issued: list[Issued]) -> str:
    """Return a CA file."""
    return "".join(one.pem for one in issued)


def verdict(case: Case, now: datetime = NOW) -> CertificateRefused | None:
    """Return the refusal, or None."""
    store = TrustStore.from_pem(bundle_text(case.bundle))
    try:
        store.check(case.leaf.recording("c.pem"), now)
    except CertificateRefused as refused:
        return refused
    return None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_chains(case: Case) -> None:
    """Each chain is accepted, or refused by its own kind of error in one sentence."""
    refused = verdict(case)
    assert type(refused) is (case.refused or type(None))
    if refused is not None:
        assert re.search(case.sentence, str(refused))
        assert "\n" not in str(refused)
        assert "serial" in str(refused)
        assert "20" in str(refused)


@pytest.mark.peer
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_openssl_verify_agrees(tmp_path: Path, case: Case) -> None:
    """`openssl verify` accepts and refuses the same chains."""
    roots = [one for one in case.bundle if one.certificate.issuer == one.certificate.subject]
    others = [one for one in case.bundle if one not in roots]
    (tmp_path / "roots.pem").write_text(bundle_text(roots))
    (tmp_path / "others.pem").write_text(bundle_text(others))
    (tmp_path / "leaf.pem").write_text(case.leaf.pem)
    line = f"verify -attime {int(NOW.timestamp())} -check_ss_sig -no-CApath -no-CAstore"
    line += " -untrusted others.pem" if others else ""
    line += " -CAfile roots.pem" if roots else " -no-CAfile"
    run = openssl(*line.split(), "leaf.pem", folder=tmp_path, check=False)
    # OpenSSL takes the first issuer of a name; here the others are looked at too.
    if "before" not in case.title:
        assert (run.returncode == 0) == (verdict(case) is None), run.stderr


@pytest.mark.parametrize(
    "style",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("-----BEGIN", "subject=/CN=x\nissuer: y\n\n-----BEGIN"),
        lambda text: "# Ω comment\n" + text + "\nlast words",
    ],
    ids=["crlf", "text between", "text around"],
)
def test_bundles_of_every_style_are_read(style: Callable[[str], str]) -> None:
    """CRLF and text between the blocks do not matter."""
    inter = between(1, ROOT)
    leaf = issue("x", rsa_key(1), issuer=inter)
    TrustStore.from_pem(style(bundle_text([inter, ROOT]))).check(leaf.recording(), NOW)


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


def test_pathological_bundles_end_soon() -> None:
    """Forty CAs of one name, each signed by each other's key, are refused within a second."""
    key = rsa_key(4)
    web = issue("web", key, serial=1, authority=True)
    links = [
        issue("web", key, issuer=root(), serial=300, authority=True),
        *(issue("web 2", key, issuer=web, serial=301 + n, authority=True) for n in range(20)),
        *(
            issue("web", key, issuer=issue("web 2", key), serial=400 + n, authority=True)
            for n in range(20)
        ),
    ]
    leaf = issue("x", rsa_key(1), issuer=web)
    store = TrustStore.from_pem(bundle_text([*links, recorder(2)]))
    began = time.process_time()
    with pytest.raises(CertificateUntrusted):
        store.check(leaf.recording(), NOW)
    assert time.process_time() - began < 1


def test_dates_are_checked_at_each_use() -> None:
    """One store answers by the time it is asked for, in any order of times."""
    store = TrustStore.from_pem(ROOT.pem)
    leaf = LEAF.recording()
    for _ in range(2):
        store.check(leaf, leaf.not_before)
        store.check(leaf, leaf.not_after - SECOND)
        with pytest.raises(CertificateNotYetValid):
            store.check(leaf, leaf.not_before - SECOND)
        with pytest.raises(CertificateExpired):
            store.check(leaf, leaf.not_after + SECOND)
        store.check(leaf, NOW)


def test_key_size_floor_is_a_setting() -> None:
    """A key below the floor is refused with its size; another floor takes it."""
    small = issue("small", rsa_key(1, 1024), issuer=ROOT).recording()
    store = TrustStore.from_pem(ROOT.pem)
    with pytest.raises(CertificateKeyTooSmall, match=r"a key of 1024 bits, fewer than 2048") as got:
        store.check(small, NOW)
    assert got.value.reason == "key-too-small"
    store.check(small, NOW, minimum_bits=1024)
    with pytest.raises(CertificateKeyTooSmall, match="fewer than 4096"):
        store.check(LEAF.recording(), NOW, minimum_bits=4096)


def test_reasons_are_distinct() -> None:
    """Each kind of refusal has its own word for counters."""
    kinds = CertificateRefused.__subclasses__()
    assert len({kind.reason for kind in kinds}) == len(kinds) >= 5


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

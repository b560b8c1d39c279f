"""CA files that nobody would make: however they are tangled, the work of a check is bounded."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from recording_format import chains, openssl_verdict
from recording_format.bundle import Link
from recording_format.chains import MAX_LENGTH, MAX_SIGNATURES
from recording_format.errors import CertificateError, CertificateRefused
from recording_format.signatures import signed_by
from recording_format.trust import CertificatePolicy, TrustStore
from tests.recording_format.authority import NOW, rsa_key

from .good_rows import EXPIRED, LEAF, ROOT
from .making import Made, make, make_ca

pytestmark = pytest.mark.timeout(120)
A_SECOND = 1.0


@dataclass
class Work:
    """Signatures that were checked: by the search, and by OpenSSL."""

    searched: int = 0
    judged: int = 0


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    """Count every signature check from now on."""
    counted = Work()
    verify = openssl_verdict._verify

    def counting(certificate: x509.Certificate, issuer: x509.Certificate) -> bool | None:
        counted.searched += 1
        return signed_by(certificate, issuer)

    def judging(chain: Sequence[Link], flags: int, anchors: Sequence[Link]) -> object:
        counted.judged += len(chain)
        return verify(chain, flags, anchors)

    monkeypatch.setattr(chains, "signed_by", counting)
    monkeypatch.setattr(openssl_verdict, "_verify", judging)
    return counted


def numbered(number: int, issuer: Made | None, key: rsa.RSAPrivateKey, serial: int = 1) -> Made:
    """Return the CA of that number."""
    return make_ca(f"ca {number}", key, issuer=issuer, serial=serial)


def web(size: int) -> list[Made]:
    """Return CAs of one key, each of which is signed by each other one."""
    selves = [numbered(n, None, rsa_key(2)) for n in range(size)]
    return [
        numbered(n, selves[m], rsa_key(2), serial=100 + m)
        for n in range(size) for m in range(size) if n != m
    ]  # fmt: skip


def ring(size: int) -> list[Made]:
    """Return CAs of one key, each of which is signed by the next, and the last by the first."""
    selves = [numbered(n, None, rsa_key(2)) for n in range(size)]
    return [numbered(n, selves[(n + 1) % size], rsa_key(2)) for n in range(size)]


def ladder(levels: int, twins: int, *, expired_at: int = -1, pss: bool = False) -> list[Made]:
    """Return a root and so many levels above each other, each of so many CAs of one name."""
    made = [ROOT]
    for level in range(levels):
        dates = {"dates": EXPIRED} if level == expired_at else {}
        key, issuer = rsa_key(2 + level % 2), made[-1]
        made += [
            make_ca(f"level {level}", key, issuer=issuer, serial=1 + twin, pss=pss, **dates)
            for twin in range(twins)
        ]
    return made


def heavy(bits: int, exponent: int, count: int) -> list[Made]:
    """Return namesakes of the root whose keys take long to check a signature with."""
    numbers = random.Random(1)

    @dataclass(frozen=True)
    class Heavy:
        modulus: int

        def public_key(self) -> rsa.RSAPublicKey:
            return rsa.RSAPublicNumbers(exponent, self.modulus).public_key()

    keys = [Heavy(numbers.getrandbits(bits) | 1 | 1 << bits - 1) for _ in range(count)]
    forger = rsa_key(3)
    return [make_ca("example_ca", cast("rsa.RSAPrivateKey", key), forged_by=forger) for key in keys]


def long_chain(length: int) -> list[Made]:
    """Return a root and so many CAs below it."""
    made = [ROOT]
    for number in range(length):
        made.append(numbered(number, made[-1], rsa_key(2)))
    return made


def below(made: list[Made]) -> tuple[Made, list[Made]]:
    """Return a leaf of the last of these CAs, and them."""
    return make("x", issuer=made[-1]), made


Case = tuple[Callable[[], tuple[Made, list[Made]]], int, str]
CASES: dict[str, Case] = {
    "300 fakes of the root before it": (
        lambda: (LEAF, [*heavy(2048, 65537, 300), ROOT]), 305, "",
    ),
    "a web of 20 CAs without a root": (
        lambda: (make("x", issuer=numbered(0, None, rsa_key(2))), web(20)),
        400, "no chain of 100 certificates or fewer leads to a root of the CA file$",
    ),
    "a web of 20 CAs, one of them signed by a root": (
        lambda: (
            make("x", issuer=numbered(0, None, rsa_key(2))),
            [*web(20), numbered(19, ROOT, rsa_key(2)), ROOT],
        ),
        20, "",
    ),
    "a ring of 50": (
        lambda: (make("x", issuer=numbered(0, None, rsa_key(2))), ring(50)),
        60, r"no chain leads from .*CN=ca 49 \(serial 1\) to a root of the CA file$",
    ),
    "a ring of 150": (
        lambda: (make("x", issuer=numbered(0, None, rsa_key(2))), ring(150)),
        MAX_LENGTH, "no chain of 100 certificates or fewer leads",
    ),
    "90 CAs above each other": (
        lambda: below(long_chain(90)), 200, "",
    ),
    "150 CAs above each other": (
        lambda: below(long_chain(150)),
        200, "no chain of 100 certificates or fewer leads",
    ),
    "12 levels of 30 twins": (
        lambda: below(ladder(12, 30)), 30, "",
    ),
    "12 levels of 30 twins, one level expired": (
        lambda: below(ladder(12, 30, expired_at=6)),
        400, r"CN=level 6 \(serial \d+\) above it expired on 2025-03-01",
    ),
    "800 larger fakes of the root before it": (
        lambda: (LEAF, [*heavy(4096, 65537, 800), ROOT]), MAX_SIGNATURES,
        "in 3000 signature checks",
    ),
    "12 levels of 30 twins signed by PSS, one level expired": (
        lambda: below(ladder(12, 30, expired_at=6, pss=True)),
        400, r"CN=level 6 \(serial \d+\) above it expired on 2025-03-01",
    ),
    "400 roots of one name and key": (
        lambda: (LEAF, [make_ca("example_ca", rsa_key(0), serial=9 + n) for n in range(400)]),
        4, "",
    ),
    "400 expired roots of one name and key": (
        lambda: (
            LEAF,
            [make_ca("example_ca", rsa_key(0), serial=9 + n, dates=EXPIRED) for n in range(400)],
        ),
        40, "above it expired on 2025-03-01",
    ),
    "60 fakes with keys of 16384 bits": (
        lambda: (LEAF, [*heavy(16384, 2**63 + 1, 60), ROOT]), 20, "signature checks, it holds",
    ),
    "60 fakes with long exponents": (
        lambda: (LEAF, [*heavy(3072, 2**3070 + 1, 60), ROOT]), 20, "signature checks, it holds",
    ),
}  # fmt: skip


@pytest.mark.parametrize("title", CASES)
def test_the_work_is_bounded(title: str, work: Work) -> None:
    """The verdict comes after so many signature checks, and well within a second of work."""
    made, most, sentence = CASES[title]
    leaf, bundle = made()
    store = TrustStore.from_pem("".join(one.pem for one in bundle))
    began = time.process_time()
    refused = ""
    try:
        store.check(leaf.recording(), NOW)
    except CertificateRefused as error:
        refused = str(error)
    assert time.process_time() - began < A_SECOND
    assert bool(refused) == bool(sentence), refused
    assert re.search(sentence, refused), refused
    assert 0 < work.searched + work.judged <= most <= MAX_SIGNATURES


def test_a_verdict_does_not_depend_on_the_ones_before() -> None:
    """A search that was given up is given up again: nothing is kept from check to check."""
    leaf = make("x", issuer=numbered(0, None, rsa_key(2)))
    store = TrustStore.from_pem("".join(one.pem for one in web(20)))
    sentences = set()
    for _ in range(3):
        with pytest.raises(CertificateRefused) as refused:
            store.check(leaf.recording(), NOW, CertificatePolicy())
        sentences.add(str(refused.value))
    assert len(sentences) == 1


@pytest.mark.parametrize("which", ["leaf", "intermediate", "root"])
def test_changed_certificates_have_a_verdict(which: str) -> None:
    """With any byte changed, a chain is accepted or refused in a sentence, and nothing else.

    Hardly any change is harmless: only a root's own signature, and what names it, may differ.
    """
    chance = random.Random(which)
    between = make_ca("between", rsa_key(2), issuer=ROOT, key_ids=True)
    parts = {
        "leaf": make("x", issuer=between, key_ids=True),
        "intermediate": between,
        "root": ROOT,
    }
    accepted = 0
    for _ in range(400):
        data = bytearray(parts[which].der)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        changed = parts | {which: replace(parts[which], der=bytes(data))}
        sentence = ""
        try:
            store = TrustStore.from_pem(changed["intermediate"].pem + changed["root"].pem)
            store.check(changed["leaf"].recording(), NOW)
            accepted += 1
        except CertificateError as refused:
            sentence = str(refused)
        assert sentence or which == "root"
        assert "\n" not in sentence
    assert accepted < 400 / 2

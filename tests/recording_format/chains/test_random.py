"""Random CA files: what we say of a certificate is what `openssl verify` says of its best chain."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import crypto

from recording_format.errors import CertificateError
from recording_format.trust import TrustStore
from tests.recording_format.authority import NOW, YEAR, rsa_key
from tests.recording_format.openssl import openssl

from .making import Key, Made, ec_key, make

BUNDLES = 160
MOMENT = ["-attime", str(int(NOW.timestamp()))]
DATES = [(NOW - YEAR, NOW + YEAR)] * 12 + [
    (NOW - YEAR, NOW - YEAR / 2),
    (NOW + YEAR / 2, NOW + YEAR),
]


class Lottery:
    """Draws certificates that fit together more often than not."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def bundle(self) -> tuple[Made, list[Made]]:
        """Return a leaf and a CA file of at most eight certificates."""
        made = [self._authority(None) for _ in range(self._chance.randint(1, 2))]
        for _ in range(self._chance.randint(1, 5)):
            made.append(self._authority(self._chance.choice(made)))
        issuer = self._chance.choice([*made, made[-1], made[-1], None])
        leaf = self._certificate("leaf", rsa_key(1), issuer)
        kept = [one for one in made if self._chance.random() < 0.9]
        if issuer is None or self._chance.random() < 0.1:
            kept.append(leaf)
        self._chance.shuffle(kept)
        return leaf, kept

    def _authority(self, issuer: Made | None) -> Made:
        number = self._chance.randrange(4)
        # Usually a name has one key; sometimes another, as after a renewal.
        chosen = number if self._chance.random() < 0.8 else self._chance.randrange(4)
        key = ec_key() if chosen == 3 else rsa_key(2 + chosen)
        is_ca = self._chance.choice([True] * 14 + [False, None])
        length = self._chance.choice([None] * 8 + [0, 1, 2]) if is_ca else None
        return self._certificate(f"ca {number}", key, issuer, ca=is_ca, path_length=length)

    def _certificate(
        self,
        name: str,
        key: Key,
        issuer: Made | None,
        *,
        ca: bool | None = None,
        path_length: int | None = None,
    ) -> Made:
        draw = self._chance.choice
        forger = rsa_key(draw([2, 3])) if self._chance.random() < 0.06 else None
        return make(
            name,
            key,
            issuer=issuer,
            serial=self._chance.randrange(1, 2**64),
            version=draw([3] * 12 + [1]),
            dates=draw(DATES),
            forged_by=forger,
            digest=draw(["sha256", "sha512"]),
            pss=draw([False] * 5 + [True]),
            ca=ca,
            path_length=path_length,
            may_sign=draw([None] * 6 + [True] * 3 + [False]),
            key_ids=draw([False, False, True]),
        )


def ours(leaf: Made, bundle: Sequence[Made]) -> tuple[x509.Certificate, ...] | None:
    """Return the chain that we find, or None."""
    if not bundle:
        return None
    store = TrustStore.from_pem("".join(made.pem for made in bundle))
    try:
        return store.chain(leaf.recording(), NOW)
    except CertificateError:
        return None


def theirs(folder: Path, leaf: str, bundle: str) -> bool:
    """Return what ``openssl verify`` says."""
    (folder / "ca.pem").write_text(bundle)
    (folder / "leaf.pem").write_text(leaf)
    line = ["verify", "-CAfile", "ca.pem", "-no-CApath", "-no-CAstore", "-check_ss_sig", *MOMENT]
    return openssl(*line, "leaf.pem", folder=folder, check=False).returncode == 0


def any_part_is_good(leaf: Made, bundle: Sequence[Made]) -> bool:
    """Return whether OpenSSL accepts the leaf under any part of the bundle."""
    known = [x509.load_der_x509_certificate(made.der) for made in bundle]
    certificates = [crypto.X509.from_cryptography(one) for one in known]
    judged = crypto.X509.from_cryptography(x509.load_der_x509_certificate(leaf.der))
    for size in range(1, len(certificates) + 1):
        for part in itertools.combinations(certificates, size):
            store = crypto.X509Store()
            store.set_flags(crypto.X509StoreFlags.CHECK_SS_SIGNATURE)
            store.set_time(NOW)
            for certificate in part:
                store.add_cert(certificate)
            try:
                crypto.X509StoreContext(store, judged).verify_certificate()
            except crypto.X509StoreContextError:
                continue
            return True
    return False


@pytest.mark.peer
def test_random_chains_agree_with_openssl(tmp_path: Path) -> None:
    """What OpenSSL accepts is accepted; what is accepted, OpenSSL accepts of the chain alone."""
    outcomes: Counter[str] = Counter()
    for seed in range(BUNDLES):
        leaf, bundle = Lottery(seed).bundle()
        chain = ours(leaf, bundle)
        text = "".join(made.pem for made in bundle)
        accepted = bool(text) and theirs(tmp_path, leaf.pem, text)
        if chain is None:
            assert not accepted, f"seed {seed}: OpenSSL accepts it"
            assert not any_part_is_good(leaf, bundle), f"seed {seed}: a part of it is good"
            outcomes["refused"] += 1
            continue
        if not accepted:
            issuers = "".join(one.public_bytes(Encoding.PEM).decode() for one in chain[1:] or chain)
            assert theirs(tmp_path, leaf.pem, issuers), f"seed {seed}: its chain is not good"
        outcomes["accepted" if accepted else "accepted by another chain"] += 1
    # The lottery is of use only while it draws all three.
    assert all(outcomes[kind] >= 4 for kind in ("refused", "accepted", "accepted by another chain"))
    assert min(outcomes["refused"], outcomes["accepted"]) > BUNDLES // 5, outcomes

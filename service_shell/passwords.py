"""Passwords as they are kept: scrypt digests (RFC 7914) with their parameters and salt, as text.

A text that scrypt could not work with is refused when it is read, not at the first sign-in.
"""

from __future__ import annotations

import base64
import hashlib
import os
from typing import NamedTuple

#: Cost, block size and lanes of new digests.
COST = (16384, 8, 1)
DIGEST_SIZE = 32
_MEMORY = 64 * 1024 * 1024
_MOST_LANES = 64


def hash_password(password: str) -> str:
    """Return ``scrypt$n$r$p$salt$hash`` (salt and hash in base64) with a new salt."""
    salt = os.urandom(16)
    digest = Verifier(*COST, salt, b"").derive(password)
    encoded = (base64.b64encode(value).decode() for value in (salt, digest))
    return "$".join(("scrypt", *map(str, COST), *encoded))


class Verifier(NamedTuple):
    """What scrypt needs to verify one account's password (RFC 7914)."""

    cost: int
    block: int
    lanes: int
    salt: bytes
    digest: bytes

    @classmethod
    def parse(cls, text: str) -> Verifier:
        """Read what `hash_password` wrote. Raises `ValueError` unless scrypt can work with it."""
        kind, cost, block, lanes, salt, digest = text.split("$")
        read = cls(
            int(cost),
            int(block),
            int(lanes),
            base64.b64decode(salt, validate=True),
            base64.b64decode(digest, validate=True),
        )
        if kind != "scrypt" or not read._can_be_derived():
            raise ValueError("scrypt cannot work with these parameters")
        if not read.salt or len(read.digest) != DIGEST_SIZE:
            raise ValueError("the salt or the digest is not of its length")
        return read

    @property
    def memory(self) -> int:
        """How many bytes OpenSSL takes for it."""
        return 128 * self.block * (self.cost + self.lanes + 2)

    @property
    def work(self) -> int:
        """How much a check costs, to be compared."""
        return self.cost * self.block * self.lanes

    def derive(self, password: str) -> bytes:
        """Return the digest of `password`. Takes some 50 ms."""
        return hashlib.scrypt(
            password.encode(),
            salt=self.salt,
            n=self.cost,
            r=self.block,
            p=self.lanes,
            maxmem=_MEMORY,
            dklen=DIGEST_SIZE,
        )

    def _can_be_derived(self) -> bool:
        power_of_two = self.cost > 1 and self.cost & (self.cost - 1) == 0
        positive = self.block > 0 and 0 < self.lanes <= _MOST_LANES
        # RFC 7914 §2: the cost is less than 2^(128 * block / 8).
        return (
            positive
            and power_of_two
            and self.memory <= _MEMORY
            and self.cost < 2 ** (16 * self.block)
        )

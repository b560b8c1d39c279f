"""One row of the table of chains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from recording_format.errors import CertificateError
from recording_format.trust import CertificatePolicy, TrustStore
from tests.recording_format.authority import NOW

from .making import Made

USUAL = CertificatePolicy()


@dataclass(frozen=True)
class Row:
    """A leaf, a CA file, and what is expected: nothing, or an error and a pattern of its sentence.

    `differs` says why ``openssl verify`` answers otherwise than we do. `file` replaces the text
    that is made of `bundle`.
    """

    title: str
    leaf: Made
    bundle: Sequence[Made]
    refused: type[CertificateError] | None = None
    sentence: str = ""
    policy: CertificatePolicy = USUAL
    now: datetime = NOW
    differs: str = ""
    file: bytes | None = None

    @property
    def text(self) -> bytes:
        """The CA file."""
        if self.file is not None:
            return self.file
        return "".join(made.pem for made in self.bundle).encode()

    def verdict(self) -> CertificateError | None:
        """Return the refusal, or None."""
        try:
            store = TrustStore.from_bytes(self.text) if self.text else TrustStore.empty()
            store.check(self.leaf.recording(), self.now, self.policy)
        except CertificateError as refused:
            return refused
        return None

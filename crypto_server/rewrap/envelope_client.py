"""Putting a media file's new envelope into the recording processor's catalogue."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from urllib.parse import quote

import msgspec

from crypto_server.administration.processor import AdministrationClient


class _Replaced(msgspec.Struct, frozen=True):
    """The processor's answer; nothing of it is needed."""


class EnvelopeClient(AdministrationClient):
    """Asks as the administration does, with the crypto server's own account."""

    async def replace_envelope(
        self,
        recording_id: str,
        play_uuid: str,
        *,
        pkcs7: str,
        cert_alias: Sequence[str],
        instead_of: str,
    ) -> None:
        """Store `pkcs7` in place of the envelope `instead_of`, both PEM.

        Raises `Conflict` when the catalogue has another envelope by now, or when the new one does
        not belong to the same ciphertext, and other `AdministrationRefused`s.
        """
        ident, play = quote(recording_id, safe=""), quote(play_uuid, safe="")
        body: dict[str, object] = {
            "pkcs7": pkcs7,
            "certAlias": list(cert_alias),
            "expect": hashlib.sha256(instead_of.encode()).hexdigest(),
        }
        await self._ask("PUT", f"/lab/recordings/{ident}/envelopes/{play}", _Replaced, body)

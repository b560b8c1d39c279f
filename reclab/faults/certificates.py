"""Faults of certificates, caused as they come about: in the profile, or in the keystore.

What was there before lies in a file of the lab's folder until it is put back, so that another
command, or a run after a crash, can heal it too.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from reclab.cert.server import Address, Refused, Server, server
from reclab.faults.profile_desk import ProfileDesk
from reclab.faults.spoiling import spoil
from reclab.files import write_private
from reclab.lab import Lab
from reclab.pki import Pair, utc_now
from reclab.preparation import TENANT, LabFolder
from service_shell.faults import CertificateFault
from service_shell.settings import SettingsError

_SECTION: Final = "recording-certificates"
_OPTION: Final = "certificates-"
_KEPT: Final = "certificates-before-faults.json"


class CertificatesBefore(msgspec.Struct):
    """The profile's certificates as they were, and of which of them the keystore lost the key."""

    section: dict[str, str] = {}
    keyless: list[str] = []


class CertificateFaults:
    """Causes and heals them in one lab. What cannot be done is a `SettingsError`."""

    def __init__(self, lab: Lab, folder: LabFolder) -> None:
        self._lab, self._folder = lab, folder
        self._desk = ProfileDesk(lab)
        self._kept = folder.root / _KEPT

    @property
    def caused(self) -> bool:
        """Whether anything is to be healed."""
        return self._kept.exists()

    async def cause(self, fault: CertificateFault) -> None:
        """Let the fault be, from the next call on. Raises `SettingsError`, `ProfileUnchanged`."""
        profile = await self._desk.read()
        section: dict[str, str] = profile["sections"].get(_SECTION, {})
        before = self._before() or CertificatesBefore(section=dict(section))
        names = _named(section, fault.certificate)
        if fault.kind == "key-missing":
            keyless = [before.section[name] for name in names]
            # Kept first: whatever happens to this process, the keys find their way back.
            before.keyless += [pem for pem in keyless if pem not in before.keyless]
            write_private(self._kept, msgspec.json.encode(before))
            await self._take_keys(keyless)
            return
        authority = self._authority()
        write_private(self._kept, msgspec.json.encode(before))
        for name in names:
            section[name] = spoil(fault.kind, before.section[name], authority, utc_now())
        profile["sections"][_SECTION] = section
        await self._desk.write(profile)

    async def heal(self) -> bool:
        """Put everything back; return whether there was anything. Raises as `cause`."""
        before = self._before()
        if before is None:
            return False
        await self._give_keys(before.keyless)
        profile = await self._desk.read()
        if profile["sections"].get(_SECTION) != before.section:
            profile["sections"][_SECTION] = before.section
            await self._desk.write(profile)
        self._kept.unlink()
        return True

    def _before(self) -> CertificatesBefore | None:
        try:
            return msgspec.json.decode(self._kept.read_bytes(), type=CertificatesBefore)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError):
            raise SettingsError(f"{self._kept} cannot be read: nothing is put back") from None

    def _authority(self) -> Pair:
        """Return the lab's own certificate authority. Raises `SettingsError`."""
        key_file = self._folder.ca_key
        try:
            certificate = x509.load_pem_x509_certificate(self._folder.ca_file.read_bytes())
            key = load_pem_private_key(key_file.read_bytes(), None)
        except (OSError, ValueError, TypeError):
            raise SettingsError(f"the lab's authority {key_file} cannot be read") from None
        return Pair(certificate, key)  # type: ignore[arg-type]  # the lab makes RSA keys only

    async def _take_keys(self, certificates: Iterable[str]) -> None:
        async with self._crypto() as asked:
            for pem in certificates:
                self._key_of(pem)  # without its file it could never be put back
                path = f"/lab/certificates/{_fingerprint(pem)}"
                try:
                    await asked.ask("DELETE", path, query={"tenant": TENANT, "force": "true"})
                except Refused as error:
                    if error.status != 404:
                        raise SettingsError(f"a key was not taken away: {error}") from None

    async def _give_keys(self, certificates: Iterable[str]) -> None:
        async with self._crypto() as asked:
            for pem in certificates:
                said = {
                    "certificate": pem,
                    "key": self._key_of(pem),
                    "tenant": TENANT,
                    "acceptExpired": True,
                }
                try:
                    await asked.ask("POST", "/lab/certificates", said)
                except Refused as error:
                    raise SettingsError(f"a key was not put back: {error}") from None

    def _crypto(self) -> AbstractAsyncContextManager[Server]:
        return server(Address(self._lab.crypto, self._lab.users["admin"], self._lab))

    def _key_of(self, pem: str) -> str:
        """Return the text of the private key of a certificate. Raises `SettingsError`."""
        wanted = x509.load_pem_x509_certificate(pem.encode()).public_key()
        for path in map(Path, self._lab.keys.values()):
            try:
                text = path.read_bytes()
                if load_pem_private_key(text, None).public_key() == wanted:
                    return text.decode("ascii")
            except (OSError, ValueError, TypeError):
                continue
        raise SettingsError(
            f"the key of certificate {_fingerprint(pem)[:12]} lies in no file of this lab:"
            " it could never be put back"
        )


def _named(section: dict[str, str], number: int) -> list[str]:
    """Return the options that are meant: all, or the one of that number. Raises `SettingsError`."""
    names = [name for name in section if name.startswith(_OPTION)]
    if number:
        names = [name for name in names if name == f"{_OPTION}{number}"]
    if not names:
        wanted = f"{_OPTION}{number}" if number else "certificates"
        raise SettingsError(f"the lab's profile has no {wanted}")
    return names


def _fingerprint(pem: str) -> str:
    return x509.load_pem_x509_certificate(pem.encode()).fingerprint(SHA256()).hex()

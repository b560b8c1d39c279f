"""What a re-wrap makes of one media file's envelope: proved first, then written anew. Pure.

IV, cipher, ciphertext, digests and mac stay; so do, byte for byte, the recipients that stay. No
new recipient gets a session key that was not proved to be the recording's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from crypto_server.administration.errors import Conflict
from crypto_server.keystore.key_entry import KeyEntry
from crypto_server.playing.media_file import MediaName, StoredMediaFile
from recording_format.certificates import RecordingCertificate
from recording_format.cipher import BLOCK_SIZE, MediaDecryptor
from recording_format.envelope import Envelope
from recording_format.errors import EnvelopeError, IntegrityError
from recording_format.integrity import check_mac
from recording_format.media_look import media_kind
from recording_format.session_key import SessionKey

_UNPROVED = "media file {name} does not open: envelope, key and stored bytes differ"
_TENANT = re.compile(r"rcs_.*:\d+", re.DOTALL | re.ASCII)


@dataclass(frozen=True)
class RecipientChange:
    """The certificates that shall be recipients, and those that shall not."""

    add: tuple[RecordingCertificate, ...] = ()
    remove: tuple[RecordingCertificate, ...] = ()

    def of(self, envelope: Envelope) -> RecipientChange:
        """Return what of it is left to do in `envelope`."""
        return RecipientChange(
            tuple(one for one in dict.fromkeys(self.add) if not envelope.has_recipient(one)),
            tuple(one for one in dict.fromkeys(self.remove) if envelope.has_recipient(one)),
        )

    def __bool__(self) -> bool:
        return bool(self.add or self.remove)


@dataclass(frozen=True)
class RewrappedEnvelope:
    """An envelope as it shall be stored: PEM, and one alias per recipient.

    `done` is what changed. `verified`: the session key was proved by the recording's mac, and not
    only by how the plaintext begins.
    """

    pkcs7: str = field(repr=False)
    cert_alias: tuple[str, ...]
    done: RecipientChange
    verified: bool


def rewrap_envelope(
    file: StoredMediaFile,
    name: MediaName,
    aliases: Sequence[str],
    change: RecipientChange,
    entries: Sequence[KeyEntry],
    *,
    beginning: bytes = b"",
    leave_unopenable: bool = False,
) -> RewrappedEnvelope:
    """Return the file's envelope after `change`, which has something to do in it.

    `entries` are the keys of the file's tenant, of which one must open the envelope before and,
    unless `leave_unopenable`, one must open it afterwards. `beginning` is that of the ciphertext,
    a block at least, for a file without mac.

    Raises `EnvelopeError` for an envelope that is broken, and `Conflict` for what may not be.
    """
    envelope = Envelope.from_pem(file.pkcs7)
    done = change.of(envelope)
    opener = _opener(envelope, entries, name)
    key = envelope.unwrap_blindly(opener.certificate, opener.private_key)
    _prove(key, envelope, file, name, beginning)
    new = envelope.with_recipients(done.add, key)
    for certificate in done.remove:
        try:
            new = new.without_recipient(certificate)
        except EnvelopeError as error:
            raise Conflict(f"media file {name}: {error}") from None
    if not leave_unopenable and not any(new.has_recipient(e.certificate) for e in entries):
        raise Conflict(
            f"media file {name} would have no recipient whose key is here; `force` allows it"
        )
    return RewrappedEnvelope(
        pkcs7=new.to_pem(),
        cert_alias=_change_aliases(aliases, done, opener),
        done=done,
        verified=file.lab is not None,
    )


def _opener(envelope: Envelope, entries: Sequence[KeyEntry], name: MediaName) -> KeyEntry:
    for entry in entries:
        if envelope.has_recipient(entry.certificate):
            return entry
    raise Conflict(f"no key here opens media file {name}, so nobody can be added or removed")


def _prove(
    key: SessionKey, envelope: Envelope, file: StoredMediaFile, name: MediaName, beginning: bytes
) -> None:
    """Raise `Conflict`, whatever is wrong, unless the session key is the recording's."""
    if file.lab is not None:
        try:
            check_mac(key, media_id=file.media_id, iv=envelope.iv, lab=file.lab)
        except IntegrityError:
            raise Conflict(_UNPROVED.format(name=name)) from None
        return
    whole = beginning[: len(beginning) - len(beginning) % BLOCK_SIZE]
    plaintext = MediaDecryptor.at(key, envelope.iv).update(whole)
    if media_kind(plaintext) != name.extension:
        raise Conflict(_UNPROVED.format(name=name))


def _change_aliases(
    aliases: Sequence[str], done: RecipientChange, opener: KeyEntry
) -> tuple[str, ...]:
    """Return the aliases without those that were removed, and then those that were added."""
    kept = [alias for alias in aliases if not any(_tenant_of(alias, one) for one in done.remove)]
    if not done.add:
        return tuple(kept)
    known = (_tenant_of(alias, opener.certificate) for alias in (opener.alias, *aliases))
    tenant = next((found for found in known if found), "")
    if not tenant:
        raise Conflict(f"the keystore's entry {opener.alias} does not tell the tenant's DBID")
    return (*kept, *(tenant + _ending(one) for one in done.add))


def _tenant_of(alias: str, certificate: RecordingCertificate) -> str:
    """Return ``rcs_<name>:<DBID>`` of an alias, nothing when it is not the certificate's."""
    tenant = alias.removesuffix(_ending(certificate))
    return tenant if tenant != alias and _TENANT.fullmatch(tenant) else ""


def _ending(certificate: RecordingCertificate) -> str:
    """Return how the certificate's alias ends whatever the tenant: its issuer and serial."""
    return f":{certificate.issuer}:{certificate.serial}"

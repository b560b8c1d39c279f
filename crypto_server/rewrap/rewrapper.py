"""Re-wraps the media files of a recording.

Everything is decided and proved for all of them before the first envelope is replaced. Each is
replaced only where the catalogue still has the one that was read; done twice, the second time
changes nothing. Tenants are apart: keys and certificates are those of the recording's tenant.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Sequence, Sized
from typing import NamedTuple

import msgspec

from crypto_server.administration.certificates import Certificates, read_certificate, renamed
from crypto_server.administration.errors import (
    AdministrationRefused,
    Conflict,
    ProcessorUnavailable,
    Unknown,
)
from crypto_server.administration.validation import Status
from crypto_server.errors import KeystoreError, PlaybackRefused, RecordingDamaged, RecordingUnknown
from crypto_server.keystore import KeyEntry, Keystore
from crypto_server.playing.byte_range import ByteRange
from crypto_server.playing.media_file import (
    MediaName,
    RecordingAddress,
    StoredMediaFile,
    find_media_file,
)
from crypto_server.processor import ProcessorClient
from crypto_server.rewrap.envelope_change import (
    RecipientChange,
    RewrappedEnvelope,
    rewrap_envelope,
)
from crypto_server.rewrap.envelope_client import EnvelopeClient
from crypto_server.rewrap.wish import FileReport, RewrapReport, RewrapWish
from recording_format.certificates import RecordingCertificate
from recording_format.envelope import Envelope
from recording_format.errors import EnvelopeError, MetadataError
from recording_format.json_object import JsonObject
from recording_format.media_look import ENOUGH
from service_shell.accounts import Account

_ATTEMPTS = 3
_MOST_CERTIFICATES = 100
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


class _File(NamedTuple):
    """A media file of the recording, and the keys of its tenant."""

    name: MediaName
    file: StoredMediaFile
    aliases: list[str]
    entries: list[KeyEntry]


class _Plan(NamedTuple):
    """What is to be done with a file; None: nothing."""

    file: _File
    new: RewrappedEnvelope | None


class Rewrapper:
    """Re-wraps recordings with the keys of one keystore."""

    def __init__(
        self,
        certificates: Certificates,
        keystore: Keystore,
        processor: ProcessorClient,
        envelopes: EnvelopeClient,
    ) -> None:
        self._certificates = certificates
        self._keystore = keystore
        self._processor = processor
        self._envelopes = envelopes

    async def rewrap(self, account: Account, recording_id: str, wish: RewrapWish) -> RewrapReport:
        """Let the recording's envelopes have the recipients of `wish`.

        Raises `AdministrationRefused`: nothing was changed, or as many media files as it says.
        """
        if not wish.add and not wish.remove:
            raise AdministrationRefused("say which certificates to `add` and which to `remove`")
        if len(wish.add) + len(wish.remove) > _MOST_CERTIFICATES:
            raise AdministrationRefused(f"more than {_MOST_CERTIFICATES} certificates at once")
        # Who takes keys out of the keystore meanwhile must not count on what is removed here.
        alone = self._certificates.changing if wish.remove else contextlib.nullcontext()
        async with alone:
            return await self._rewrap(account, recording_id, wish)

    async def _rewrap(self, account: Account, recording_id: str, wish: RewrapWish) -> RewrapReport:
        address = RecordingAddress(recording_id)
        replaced: dict[str, FileReport] = {}
        plans: list[_Plan] = []
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                files = await self._read(account, address, wish)
                encrypted = [file for file in files if file.file.pkcs7]
                plans = [await self._plan(address, file, wish) for file in encrypted]
            except AdministrationRefused as error:
                raise _told(error, replaced, plans) from None
            try:
                for plan in plans:
                    if plan.new is not None and not wish.dry_run:
                        await self._replace(address, plan, plan.new)
                        replaced[str(plan.file.name)] = _report(plan)
            except AdministrationRefused as error:
                # Somebody else may have replaced an envelope in between: look again.
                if attempt == _ATTEMPTS or not isinstance(error, Conflict):
                    raise _told(error, replaced, plans) from None
            else:
                break
        return RewrapReport(
            recording=recording_id,
            tenant=files[0].file.tenant,
            dry_run=wish.dry_run,
            media_files=[replaced.get(str(one.file.name)) or _report(one) for one in plans],
        )

    async def _read(
        self, account: Account, address: RecordingAddress, wish: RewrapWish
    ) -> list[_File]:
        """Return the media files. Raises `Unknown` for what `account` may not reach."""
        unknown = Unknown(f"there is no recording {address.recording_id[:100]!r}")
        try:
            address.check()
            answer = await self._processor.recording(address)
            files = await asyncio.to_thread(self._files, answer, account)
        except RecordingUnknown:
            raise unknown from None
        except (RecordingDamaged, KeystoreError) as error:
            raise Conflict(str(error)) from None
        except PlaybackRefused as error:
            raise ProcessorUnavailable(str(error)) from None
        if wish.tenant and {one.file.tenant for one in files} != {wish.tenant}:
            raise unknown
        return files

    def _files(self, answer: bytes, account: Account) -> list[_File]:
        try:
            named = [(find_media_file(answer, one[0]), *one) for one in _named_files(answer)]
        except RecordingDamaged as error:
            # Whose it is cannot be read: only who may reach every tenant learns of it.
            raise error if account.every_tenant else RecordingUnknown("") from None
        for entry, _, _ in named:
            entry.check_tenant(account.may_reach)  # of all, before anything else of one shows
        files = []
        keys: dict[str, list[KeyEntry]] = {}
        for entry, name, aliases in named:
            file = entry.read()
            if file.tenant not in keys:
                keys[file.tenant] = [renamed(e) for e in self._keystore.entries(file.tenant)]
            files.append(_File(name, file, aliases, keys[file.tenant]))
        return files

    async def _plan(self, address: RecordingAddress, file: _File, wish: RewrapWish) -> _Plan:
        change = await asyncio.to_thread(self._change, file, wish)
        try:
            envelope = Envelope.from_pem(file.file.pkcs7)
        except EnvelopeError as error:
            raise Conflict(f"media file {file.name}: {error}") from None
        if not change.of(envelope):
            return _Plan(file, None)
        beginning = b"" if file.file.lab else await self._beginning(address, file.name)
        new = await asyncio.to_thread(
            rewrap_envelope,
            file.file,
            file.name,
            file.aliases,
            change,
            file.entries,
            beginning=beginning,
            leave_unopenable=wish.force,
        )
        return _Plan(file, new)

    def _change(self, file: _File, wish: RewrapWish) -> RecipientChange:
        """Return the certificates of `wish`; those to be added may be used now."""
        add = [_certificate(text, file) for text in wish.add]
        remove = [_certificate(text, file) for text in wish.remove]
        if set(add) & set(remove):
            raise AdministrationRefused("a certificate is to be added and removed at once")
        for certificate in add:
            judgement = self._certificates.validation.judge(certificate, self._certificates.now())
            if judgement.status is not Status.VALID:
                fallback = f"{certificate.described} may not be used: it is {judgement.status}"
                raise AdministrationRefused(judgement.problem or fallback)
        return RecipientChange(tuple(add), tuple(remove))

    async def _beginning(self, address: RecordingAddress, name: MediaName) -> bytes:
        """Return the first bytes that are stored: without a mac, they must prove the key."""
        try:
            beginning, _ = await self._processor.part(address, name, ByteRange.of(0, ENOUGH))
        except RecordingDamaged as error:
            raise Conflict(str(error)) from None
        except PlaybackRefused as error:
            raise ProcessorUnavailable(str(error)) from None
        return beginning

    async def _replace(
        self, address: RecordingAddress, plan: _Plan, new: RewrappedEnvelope
    ) -> None:
        await self._envelopes.replace_envelope(
            address.recording_id,
            plan.file.name.stem,
            pkcs7=new.pkcs7,
            cert_alias=new.cert_alias,
            instead_of=plan.file.file.pkcs7,
        )


def _told(
    error: AdministrationRefused, replaced: Sized, plans: Sequence[_Plan]
) -> AdministrationRefused:
    """Return a refusal that tells how many envelopes were replaced before, where any were."""
    if not replaced:
        return error
    return type(error)(f"{error} ({len(replaced)} of {len(plans)} media files were changed)")


def _named_files(answer: bytes) -> list[tuple[MediaName, list[str]]]:
    """Return play name and aliases of each media file; `RecordingDamaged` for a ruined one."""
    try:
        root = JsonObject(msgspec.json.decode(answer), "")
        recording = JsonObject(root.required("recording"), "recording")
        files = [
            (MediaName.parse(one.text("mediaPath").rpartition("/")[2]), one.texts("certAlias"))
            for one in recording.objects("mediaFiles")
        ]
    except (msgspec.DecodeError, UnicodeDecodeError, MetadataError, RecordingUnknown):
        raise RecordingDamaged("the recording's metadata cannot be read") from None
    if not files:
        raise RecordingDamaged("the recording has no media files")
    return files


def _certificate(text: str, file: _File) -> RecordingCertificate:
    """Return a certificate by its id among the tenant's keys, or from its own PEM text."""
    if "-----BEGIN" in text:
        return read_certificate(text, "the certificate that was sent")
    if not _FINGERPRINT.fullmatch(text):
        raise AdministrationRefused("a certificate is neither an id of 64 hex digits nor PEM")
    for entry in file.entries:
        if entry.certificate.fingerprint == text:
            return entry.certificate
    raise Unknown(f"tenant {file.file.tenant!r} has no certificate {text} in the keystore")


def _report(plan: _Plan) -> FileReport:
    new = plan.new
    return FileReport(
        media_id=plan.file.file.media_id,
        changed=new is not None,
        added=_ids(new.done.add) if new else [],
        removed=_ids(new.done.remove) if new else [],
        cert_alias=list(new.cert_alias) if new else plan.file.aliases,
        verified=new.verified if new else None,
    )


def _ids(certificates: Sequence[RecordingCertificate]) -> list[str]:
    return [one.fingerprint for one in certificates]

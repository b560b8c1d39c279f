"""A media file's envelope replaced by one for other recipients (re-wrap). Pure.

Only who can open the file changes: IV and cipher stay, and with them the ciphertext, its digests
and its authentication code. What was posted keeps its fingerprint, so that the platform's own
repetition of the post is still the same post, and does not bring the old envelope back.
"""

from __future__ import annotations

import hashlib

import msgspec

from recording_format.envelope import MAX_ENVELOPE_SIZE, MAX_RECIPIENTS, Envelope
from recording_format.errors import EnvelopeError
from recording_processor.errors import BadParameter, Changed, Conflict
from recording_processor.recording import Document

_MAXIMUM_ALIAS = 4096


class EnvelopeChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The new envelope (PEM) with its recipients' aliases.

    `expect` is the SHA-256, in hex, of the envelope's text that the caller read before.
    """

    pkcs7: str
    cert_alias: tuple[str, ...]
    expect: str

    def __repr__(self) -> str:
        return f"<EnvelopeChange for {len(self.cert_alias)} recipients>"


def text_digest(text: str) -> str:
    """Return the SHA-256 of an envelope's text, lower-case hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def change_envelope(document: Document, change: EnvelopeChange) -> Document:
    """Return the media file's document with the new envelope; the same one when it has it already.

    Raises `BadParameter` when the new envelope cannot be one, `Changed` when the present one is not
    the expected, `Conflict` when more than the recipients would change.
    """
    _check_aliases(change.cert_alias)
    wanted = _read(change.pkcs7)
    present: str = document["pkcs7"]
    aliases: list[str] = document.get("certAlias", [])
    if present == change.pkcs7 and tuple(aliases) == change.cert_alias:
        return document
    if change.expect.lower() != text_digest(present):
        raise Changed("expect: the media file has another envelope by now")
    try:
        known = Envelope.from_pem(present)
    except EnvelopeError as error:
        raise Conflict(f"the present envelope cannot be read: {error}") from None
    if (wanted.iv, wanted.algorithm) != (known.iv, known.algorithm):
        raise Conflict("pkcs7: its IV or its cipher is not that of the stored media file")
    # A foreign recording may have had a wrong number of aliases; it must not get worse.
    if len(change.cert_alias) - _recipients(wanted) != len(aliases) - _recipients(known):
        raise BadParameter(
            f"certAlias: there are {len(change.cert_alias)} aliases for"
            f" {_recipients(wanted)} recipients"
        )
    return document | {"pkcs7": change.pkcs7, "certAlias": list(change.cert_alias)}


def _read(text: str) -> Envelope:
    try:
        return Envelope.from_pem(text)
    except EnvelopeError as error:
        raise BadParameter(f"pkcs7: {error}") from None


def _check_aliases(aliases: tuple[str, ...]) -> None:
    if not 1 <= len(aliases) <= MAX_RECIPIENTS:
        raise BadParameter(f"certAlias: there are not from 1 to {MAX_RECIPIENTS} aliases")
    for position, alias in enumerate(aliases):
        if not alias or len(alias) > _MAXIMUM_ALIAS:
            raise BadParameter(
                f"certAlias[{position}]: it is empty or longer than {_MAXIMUM_ALIAS} characters"
            )


def _recipients(envelope: Envelope) -> int:
    return len(envelope.recipients) + len(envelope.foreign)


#: A body holds one envelope and its aliases, each written as JSON.
LONGEST_BODY = 4 * MAX_ENVELOPE_SIZE

"""The archive form's beginning: made and read without the ciphertext."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import pkcs7
from hypothesis import given, settings
from hypothesis import strategies as st

from recording_format.archive import MAX_HEADER_SIZE, archive_prefix, parse_archive_header
from recording_format.cipher import MediaEncryptor
from recording_format.envelope import Envelope, wrap_session_key
from recording_format.errors import ArchiveError, EnvelopeError
from recording_format.session_key import SessionKey
from tests.recording_format.authority import recorder

KEY = SessionKey(bytes(range(32)))
INFOS = wrap_session_key(KEY, [recorder(1).recording(), recorder(2).recording()])
ENVELOPE = Envelope.from_der(Envelope(INFOS, KEY.algorithm, bytes(16)).to_der())


@given(blocks=st.integers(1, 1 << 44), more=st.binary(max_size=40))
@settings(max_examples=60, deadline=None)
def test_prefix_comes_back(blocks: int, more: bytes) -> None:
    """Any size's prefix is read again before the ciphertext is there."""
    prefix = archive_prefix(ENVELOPE, 16 * blocks)
    assert parse_archive_header(prefix + more) == (ENVELOPE, len(prefix), 16 * blocks)
    assert len(prefix) < MAX_HEADER_SIZE


@pytest.mark.parametrize("size", [0, -16, 15, 17])
def test_impossible_sizes_are_refused(size: int) -> None:
    """A ciphertext is whole blocks, one at least."""
    with pytest.raises(ArchiveError, match=f"cannot have {size} bytes"):
        archive_prefix(ENVELOPE, size)


def test_a_cut_header_is_refused_at_every_byte() -> None:
    """Wherever the beginning is cut, the answer is an error."""
    prefix = archive_prefix(ENVELOPE, 1 << 20)
    for end in range(len(prefix)):
        with pytest.raises((ArchiveError, EnvelopeError)):
            parse_archive_header(prefix[:end])


@given(at=st.integers(0, 10_000), flip=st.integers(1, 255))
@settings(max_examples=150, deadline=None)
def test_changed_headers_never_crash(at: int, flip: int) -> None:
    """A changed beginning is another header or an error of this package."""
    prefix = archive_prefix(ENVELOPE, 1 << 20)
    data = bytearray(prefix)
    data[at % len(data)] ^= flip
    try:
        header = parse_archive_header(bytes(data))
    except (ArchiveError, EnvelopeError):
        return
    assert parse_archive_header(archive_prefix(header.envelope, header.size)).size == header.size


def test_something_behind_the_ciphertext_is_refused() -> None:
    """A file whose ciphertext is not its last part is not ours, and is not half read."""
    prefix = bytearray(archive_prefix(ENVELOPE, 1 << 20))
    prefix[-1] = 0xF0  # the ciphertext's own length no longer fills the values around it
    with pytest.raises(ArchiveError, match="not its last part"):
        parse_archive_header(bytes(prefix))


def test_a_detached_envelope_is_no_archive() -> None:
    """The envelope alone is not an archive file."""
    with pytest.raises(ArchiveError, match="does not begin with PKCS#7"):
        parse_archive_header(ENVELOPE.to_der())


@pytest.mark.parametrize("bits", [128, 256])
def test_another_library_opens_it(bits: int) -> None:
    """pyca/cryptography's own PKCS#7 reader gives the plaintext back."""
    key = SessionKey.generate(bits)
    encryptor = MediaEncryptor(key)
    ciphertext = encryptor.update(b"hello" * 1000) + encryptor.finalize()
    issued = recorder(1)
    envelope = Envelope(wrap_session_key(key, [issued.recording()]), key.algorithm, encryptor.iv)
    archive = archive_prefix(envelope, len(ciphertext)) + ciphertext
    plain = pkcs7.pkcs7_decrypt_der(archive, issued.certificate, issued.key, [])
    assert plain == b"hello" * 1000

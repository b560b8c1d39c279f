"""Envelopes that want to do harm: an error of ours, in a time that grows with their length only."""

from __future__ import annotations

import contextlib
import io
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recording_format import der
from recording_format.archive import archive_prefix, open_archive, parse_archive_header
from recording_format.envelope import Envelope, decode_recipients, wrap_session_key
from recording_format.errors import EnvelopeError, RecordingFormatError
from recording_format.key_encryption import key_encryption
from recording_format.object_identifiers import check_object_identifiers
from recording_format.pem import encode, find_blocks
from recording_format.session_key import SessionKey
from tests.recording_format.authority import recorder

RSA = bytes.fromhex("06092a864886f70d010101")
AES_256_CBC = bytes.fromhex("060960864801650304012a")
LONGEST = b"\x81" * 63 + b"\x01"
HINTS = bytes.fromhex("00010203040506243031808485a0a1ff")


@cache
def archived() -> bytes:
    """A small archive file for two recorders."""
    recipients = wrap_session_key(
        SessionKey(bytes(32)), [recorder(1).recording(), recorder(2).recording()]
    )
    return archive_prefix(Envelope(recipients, "aes-256-cbc", bytes(16)), 32) + bytes(32)


def detached(**parts: bytes) -> bytes:
    """An envelope whose object identifiers can be others."""
    certificate = recorder(1).recording()
    recipient = der.value(
        der.SEQUENCE,
        der.integer(0),
        der.value(der.SEQUENCE, certificate.issuer_der, der.integer(certificate.serial)),
        der.value(der.SEQUENCE, parts.get("wrapping", RSA), der.NULL),
        der.value(der.OCTET_STRING, bytes(256)),
    )
    cipher = parts.get("cipher", AES_256_CBC) + der.value(der.OCTET_STRING, bytes(16))
    content = bytes.fromhex("06092a864886f70d010701") + der.value(der.SEQUENCE, cipher)
    head = der.integer(0) + der.value(der.SET, recipient)
    enveloped = der.value(der.SEQUENCE, head, der.value(der.SEQUENCE, content))
    kind = parts.get("kind", bytes.fromhex("06092a864886f70d010703"))
    return der.value(der.SEQUENCE, kind, der.value(der.CONTEXT_0_CONSTRUCTED, enveloped))


@pytest.mark.parametrize("place", ["kind", "wrapping", "cipher"])
@pytest.mark.parametrize("size", [65, 1000, 900_000])
def test_long_identifiers_are_not_read(place: str, size: int) -> None:
    """An object identifier of a megabyte, which would take minutes, is refused by its length."""
    identifier = der.value(der.OBJECT_IDENTIFIER, b"\x81" * (size - 1) + b"\x01")
    data = detached(**{place: identifier})
    with pytest.raises(EnvelopeError, match="not PKCS#7 enveloped data, or broken") as caught:
        Envelope.from_der(data)
    assert str(caught.value.__cause__) == f"an object identifier has {size} bytes"


def test_identifiers_of_others_are_read() -> None:
    """The bound is above what is in use: such an envelope is refused for what it says."""
    assert Envelope.from_der(detached()).has_recipient(recorder(1).recording())
    cipher = der.value(der.OBJECT_IDENTIFIER, LONGEST)
    with pytest.raises(EnvelopeError, match=r"^the cipher .* is not AES-256-CBC"):
        Envelope.from_der(detached(cipher=cipher))


def test_long_identifiers_in_recipients_and_keys() -> None:
    """Recipients on their own, and a key's encryption, are looked at before they are read, too."""
    identifier = der.value(der.OBJECT_IDENTIFIER, b"\x81" * 5000 + b"\x01")
    with pytest.raises(EnvelopeError, match=r"^the envelope's recipients are broken$"):
        decode_recipients(der.value(der.SET, der.value(der.SEQUENCE, identifier)))
    data = der.value(der.SEQUENCE, der.value(der.SEQUENCE, identifier), der.value(4, bytes(32)))
    (block,) = find_blocks(encode("ENCRYPTED PRIVATE KEY", data))
    with pytest.raises(ValueError, match="what it says of its encryption cannot be read"):
        key_encryption(block)


@given(st.binary(max_size=200))
@example(b"\x30\x80\x06\x41")
@example(b"\x06\xff")
def test_bound_looks_at_anything(data: bytes) -> None:
    """The look comes to an end with any bytes, and says no in one way only."""
    with contextlib.suppress(ValueError):
        check_object_identifiers(data)


@settings(max_examples=1500, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 700),
            st.integers(0, 12),
            st.one_of(st.sampled_from([bytes([b]) for b in HINTS]), st.binary(max_size=6)),
        ),
        min_size=1,
        max_size=6,
    ),
    st.integers(0, 800),
)
def test_mutilated_files(changes: list[tuple[int, int, bytes]], end: int) -> None:
    """Whatever is changed, put in or cut off: an error of this package, or an envelope."""
    data = bytearray(archived())
    for at, size, instead in changes:
        data[at : at + size] = instead
    del data[max(end, 10) + 100 :]
    with contextlib.suppress(RecordingFormatError):
        parse_archive_header(bytes(data))
    with contextlib.suppress(RecordingFormatError):
        envelope, pieces = open_archive(io.BytesIO(bytes(data)))
        again = Envelope.from_der(envelope.to_der())
        assert again.iv == envelope.iv
        with contextlib.suppress(RecordingFormatError):
            envelope.unwrap_blindly(recorder(1).recording(), recorder(1).key)
        assert sum(map(len, pieces)) % 16 == 0

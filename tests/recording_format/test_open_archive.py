"""Archive files read as a stream: definite or not, in any pieces, torn anywhere."""

from __future__ import annotations

import contextlib
import io
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recording_format import der
from recording_format.archive import archive_prefix, looks_like_archive, open_archive
from recording_format.envelope import Envelope, wrap_session_key
from recording_format.errors import ArchiveError, EnvelopeError, RecordingFormatError
from recording_format.session_key import SessionKey
from tests.recording_format.authority import key_pem, recorder
from tests.recording_format.openssl import openssl

KEY = SessionKey(bytes(range(32)))
INFOS = wrap_session_key(KEY, [recorder(1).recording(), recorder(2).recording()])
ENVELOPE = Envelope.from_der(Envelope(INFOS, KEY.algorithm, bytes(16)).to_der())
END = b"\0\0"
DATA = bytes.fromhex("06092a864886f70d010701")


class Trickle(io.BytesIO):
    """A file that gives as few bytes at once as it likes."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self._most = most

    def read(self, size: int | None = -1, /) -> bytes:
        """Return up to `most` bytes."""
        wanted = self._most if size is None or size < 0 else min(size, self._most)
        return super().read(wanted)


def indefinite(ciphertext: bytes, segments: list[int], *, nested: bool = False) -> bytes:
    """Return the archive form with indefinite lengths, the ciphertext cut into segments."""
    parts = []
    at = 0
    for size in [*segments, len(ciphertext)]:
        parts.append(der.value(der.OCTET_STRING, ciphertext[at : at + size]))
        at += size
    content = b"".join(parts)
    if nested:
        content = b"\x24\x80" + content + END + der.value(0x24, der.value(der.OCTET_STRING))
    detached = ENVELOPE.to_der()
    version, data = detached.index(b"\x02\x01\x00"), detached.rindex(DATA)
    kind, recipients, info = detached[4:15], detached[version : data - 2], detached[data:]
    inside = recipients + b"\x30\x80" + info + b"\xa0\x80" + content + END + END
    return b"\x30\x80" + kind + b"\xa0\x80" + b"\x30\x80" + inside + END + END + END


def read(file: BinaryIO) -> tuple[Envelope, bytes]:
    """Return an archive file's envelope and its whole ciphertext."""
    envelope, pieces = open_archive(file)
    return envelope, b"".join(pieces)


@given(
    blocks=st.integers(1, 60),
    segments=st.lists(st.integers(0, 300), max_size=6),
    nested=st.booleans(),
    most=st.integers(1, 500),
)
@settings(max_examples=80, deadline=None)
def test_both_forms_come_back(blocks: int, segments: list[int], nested: bool, most: int) -> None:
    """Definite or not, in whatever segments and pieces: envelope and ciphertext come out."""
    ciphertext = os.urandom(16 * blocks)
    ours = archive_prefix(ENVELOPE, len(ciphertext)) + ciphertext
    theirs = indefinite(ciphertext, segments, nested=nested)
    for data in (ours, theirs):
        assert looks_like_archive(data)
        assert read(Trickle(data, most)) == (ENVELOPE, ciphertext)


@pytest.mark.parametrize("form", ["definite", "indefinite"])
def test_a_torn_file_is_an_error_at_every_byte(form: str) -> None:
    """Wherever a file is cut, it is refused in one sentence, and never comes to an end."""
    ciphertext = os.urandom(96)
    data = archive_prefix(ENVELOPE, 96) + ciphertext
    if form == "indefinite":
        data = indefinite(ciphertext, [10, 50], nested=True)
    for end in range(len(data)):
        with pytest.raises(ArchiveError) as caught:
            read(io.BytesIO(data[:end]))
        assert "\n" not in str(caught.value)
    with pytest.raises(ArchiveError, match=f"torn: it ends after {len(data) - 1} bytes"):
        read(io.BytesIO(data[:-1]))


@pytest.mark.parametrize("more", [b"\0", b"\0\0", b"\x30\x80", bytes(1000)])
@pytest.mark.parametrize("form", ["definite", "indefinite"])
def test_what_stands_behind_the_end_is_refused(form: str, more: bytes) -> None:
    """Bytes behind the file's end are not passed over."""
    data = archive_prefix(ENVELOPE, 16) + bytes(16)
    if form == "indefinite":
        data = indefinite(bytes(16), [])
    with pytest.raises(ArchiveError, match="goes on after its end"):
        read(io.BytesIO(data + more))


@given(at=st.integers(0, 10_000), flip=st.integers(1, 255), loose=st.booleans())
@settings(max_examples=300, deadline=None)
def test_changed_bytes_never_crash(at: int, flip: int, loose: bool) -> None:
    """A changed byte is other contents or an error of this package, in one sentence."""
    good = bytes(96)
    data = bytearray(
        indefinite(good, [20, 33]) if loose else archive_prefix(ENVELOPE, len(good)) + good
    )
    data[at % len(data)] ^= flip
    with contextlib.suppress(RecordingFormatError):
        envelope, ciphertext = read(io.BytesIO(bytes(data)))
        assert len(ciphertext) % 16 == 0
        Envelope.from_der(envelope.to_der())


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_junk_is_an_error(data: bytes) -> None:
    """What is no archive file is refused."""
    with pytest.raises(ArchiveError):
        read(io.BytesIO(data))
    with pytest.raises((ArchiveError, EnvelopeError)):
        read(io.BytesIO(archive_prefix(ENVELOPE, 16)[:30] + data))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "ends before its ciphertext begins"),
        (b"RIFF....WAVE", "does not begin with PKCS#7 enveloped data: tag 52 stands"),
        (b"-----BEGIN PKCS7-----", "does not begin with PKCS#7 enveloped data: tag 2d"),
        (ENVELOPE.to_der(), "an envelope without its ciphertext"),
        (b"\x30\x80" * 100_000, "does not begin with PKCS#7"),
        (b"\x30\x10\x06\x11" + bytes(17), "a value reaches beyond the one around it"),
        (b"\x30\x80\x06\x84\xff\xff\xff\xff", "a value has more than 4096 bytes"),
        (b"\x30\x89" + bytes(9), "the length is absurd"),
    ],
)
def test_what_it_is_instead_is_said(data: bytes, sentence: str) -> None:
    """Each thing that is no archive file has its sentence."""
    with pytest.raises(ArchiveError, match=sentence):
        read(io.BytesIO(data))


def test_no_whole_blocks_is_an_error() -> None:
    """A ciphertext that is not whole blocks, or empty, is refused in both forms."""
    for size in (0, 15, 17):
        data = archive_prefix(ENVELOPE, 32)[:-1] + bytes([size]) + bytes(size)
        with pytest.raises(ArchiveError):
            read(io.BytesIO(data))
        with pytest.raises(ArchiveError, match=f"cannot have {size} bytes"):
            read(io.BytesIO(indefinite(bytes(size), [])))


def test_a_set_of_recipients_without_end_is_refused() -> None:
    """An envelope may not be larger than the largest, with lengths or without."""
    head = ENVELOPE.to_der()[4:15] + b"\xa0\x80\x30\x80\x02\x01\x00"
    for recipients in (
        b"\x31\x84\x7f\xff\xff\xff",
        b"\x31\x80" + b"\x30\x82\xff\xff" + bytes(65535),
    ):
        data = b"\x30\x80" + head + recipients + (b"\x30\x82\xff\xff" + bytes(65535)) * 20
        with pytest.raises(ArchiveError, match="a value has more than"):
            read(io.BytesIO(data))


def test_unprotected_attributes_are_passed_over() -> None:
    """What CMS lets stand behind the ciphertext (RFC 5652 §6.1) is read and means nothing."""
    data = indefinite(bytes(32), [])
    attributes = der.value(0xA1, der.value(der.SEQUENCE, der.integer(1)))
    with_attributes = data[:-6] + attributes + data[-6:]
    assert read(io.BytesIO(with_attributes)) == (ENVELOPE, bytes(32))


class Endless(io.RawIOBase):
    """A file in the archive form of many megabytes, made while it is read."""

    def __init__(self, size: int, *, segments: bool) -> None:
        super().__init__()
        self._parts = self._made(size, segments)
        self._rest = b""

    def _made(self, size: int, segments: bool) -> Iterator[bytes]:
        if not segments:
            yield archive_prefix(ENVELOPE, size)
        else:
            yield indefinite(b"", [])[: -len(END) * 5 - 2]  # without its one empty segment
        block = bytes(1 << 16)
        for _ in range(size // len(block)):
            yield der.value(der.OCTET_STRING, block) if segments else block
        yield END * 5 if segments else b""  # ends of the content and what is around it

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, not always as many as asked for."""
        if not self._rest:
            self._rest = next(self._parts, b"")
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


@pytest.mark.parametrize("segments", [False, True])
def test_memory_is_bounded(segments: bool) -> None:
    """64 MiB are read in under 3 MiB of memory."""
    size = 64 << 20
    tracemalloc.start()
    try:
        _, pieces = open_archive(Endless(size, segments=segments))  # type: ignore[arg-type]  # raw
        assert sum(map(len, pieces)) == size
        assert tracemalloc.get_traced_memory()[1] < 3 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.peer
@pytest.mark.parametrize("program", ["cms", "smime"])
@pytest.mark.parametrize("stream", ["", "-stream"])
@pytest.mark.parametrize("size", [0, 15, 16, 1000, 300_000])
def test_openssl_files_are_read(tmp_path: Path, program: str, stream: str, size: int) -> None:
    """What `openssl cms` and `openssl smime` write, streamed or not, has the same ciphertext."""
    (tmp_path / "plain").write_bytes(bytes(size))
    for number in (1, 2):
        (tmp_path / f"{number}.pem").write_text(recorder(number).pem)
    line = f"{program} -encrypt {stream} -aes256 -binary -outform DER -in plain -out a 1.pem 2.pem"
    openssl(*line.split(), folder=tmp_path)
    with (tmp_path / "a").open("rb") as file:
        envelope, ciphertext = read(file)
    (tmp_path / "ours").write_bytes(archive_prefix(envelope, len(ciphertext)) + ciphertext)
    (tmp_path / "key.pem").write_bytes(key_pem(recorder(1).key))
    back = "smime -decrypt -inform DER -in ours -inkey key.pem -binary -out x"
    openssl(*back.split(), folder=tmp_path)
    assert (tmp_path / "x").read_bytes() == bytes(size)

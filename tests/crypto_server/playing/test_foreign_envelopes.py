"""Recordings whose envelopes OpenSSL wrote: played whole and in parts, or refused in a sentence."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from recording_format.archive import open_archive
from tests.crypto_server.conftest import StartServer, refusal
from tests.crypto_server.fake_processor import FakeProcessor
from tests.crypto_server.keys import KeyPair, key_pair
from tests.crypto_server.recordings import MadeRecording, encrypted, wav
from tests.recording_format.openssl import openssl

AUDIO = wav(50_000)


def made_by_openssl(folder: Path, options: str, *pairs: KeyPair) -> MadeRecording:
    """Return a recording that `openssl cms -encrypt` encrypted; certificates are 1.pem, ….

    It has no ``lab``, as no recording of anybody else has.
    """
    (folder / "plain").write_bytes(AUDIO)
    for number, pair in enumerate(pairs, 1):
        certificate = x509.load_der_x509_certificate(pair.certificate.der)
        (folder / f"{number}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    line = f"cms -encrypt -binary -in plain -outform DER -out a.bin {options}"
    openssl(*line.split(), folder=folder)
    envelope, pieces = open_archive(io.BytesIO((folder / "a.bin").read_bytes()))
    made = encrypted(AUDIO, *pairs).with_stored(b"".join(pieces))
    return made.changed(pkcs7=envelope.to_pem(), lab=None)


@pytest.mark.peer
@pytest.mark.parametrize(
    "options",
    [
        "-aes256 1.pem",
        "-aes128 1.pem 2.pem",
        "-aes256 -stream 2.pem 1.pem",
        "-aes256 -recip 1.pem -keyopt rsa_padding_mode:oaep",
    ],
)
async def test_openssls_envelopes_are_played(
    start_server: StartServer, processor: FakeProcessor, tmp_path: Path, options: str
) -> None:
    """DER, BER, AES-128, several recipients, OAEP: the same sound as went in, whole and in part."""
    made = made_by_openssl(tmp_path, options, key_pair("one"), key_pair("two"))
    processor.recordings.append(made)
    async with start_server(processor, key_pair("one")) as server:
        status, headers, body = await server.get(made.path)
        assert (status, headers["X-Reclab-Verified"], body) == (200, "no", AUDIO)
        status, _, body = await server.get(made.path, Range="bytes=12345-23456")
        assert (status, body) == (206, AUDIO[12345:23457])


@pytest.mark.peer
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("-aes256 2.pem", "has no key in the keystore that opens"),
        ("-aes256 -secretkey 000102030405060708090a0b0c0d0e0f -secretkeyid 01", "by a shared key"),
    ],
)
async def test_recipients_without_a_key_here_are_one_sentence(
    start_server: StartServer,
    processor: FakeProcessor,
    tmp_path: Path,
    options: str,
    expected: str,
) -> None:
    """Somebody else's envelope, or recipients of another kind: 409, and nothing is fetched."""
    made = made_by_openssl(tmp_path, options, key_pair("one"), key_pair("two"))
    processor.recordings.append(made)
    async with start_server(processor, key_pair("one")) as server:
        status, _, body = await server.get(made.path, Range="bytes=0-99")
    code, sentence = refusal(body)
    assert (status, code) == (409, 4)
    assert expected in sentence
    assert "\n" not in sentence
    assert processor.ranges == []


@pytest.mark.peer
async def test_a_ciphertext_inside_its_envelope_is_told(
    start_server: StartServer, processor: FakeProcessor, tmp_path: Path
) -> None:
    """The archive form in place of the envelope is refused by its name."""
    made = made_by_openssl(tmp_path, "-aes256 1.pem", key_pair("one"))
    line = "cms -encrypt -binary -in plain -outform PEM -out a.pem -aes256 1.pem"
    openssl(*line.split(), folder=tmp_path)
    processor.recordings.append(made.changed(pkcs7=(tmp_path / "a.pem").read_text()))
    async with start_server(processor, key_pair("one")) as server:
        status, _, body = await server.get(made.path)
    code, sentence = refusal(body)
    assert (status, code) == (500, 4)
    assert "has its ciphertext inside" in sentence

"""The CA file of uploads: its forms, its changes, and what is said about a ruined one."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from crypto_server.ca_file import CaFile, open_ca_file, read_trust
from crypto_server.errors import CaFileError
from crypto_server.keystore.import_entries import MAX_IMPORT
from crypto_server.settings import ValidationSettings
from service_shell.settings import SettingsError
from tests.crypto_server.keys import key_pair
from tests.crypto_server.keystore import jks_writing

PASSWORD = "the trust store's password"


def pem(*names: str) -> str:
    """Return a bundle of self-signed certificates."""
    return "some text\r\n".join(key_pair(name).certificate.pem for name in names)


def test_bundle_is_read_again_when_it_changes(tmp_path: Path) -> None:
    """A new root counts at the next look; an unchanged file is not read again."""
    file = tmp_path / "ca.pem"
    file.write_text(pem("one"))
    ca = CaFile(file)
    first = ca.load()
    assert first.count == 1
    assert ca.load() is first
    file.write_text(pem("one", "two"))
    assert ca.load().count == 2


def test_ruined_change_leaves_the_old_roots_in_force(tmp_path: Path) -> None:
    """A file that cannot be read any more is logged once, and what was read before still counts."""
    file = tmp_path / "ca.pem"
    file.write_text(pem("one"))
    ca = CaFile(file)
    before = ca.load()
    file.write_text(pem("one")[:-100])
    with capture_logs() as logs:
        assert ca.load() is before
        assert ca.load() is before
    assert [log["log_level"] for log in logs] == ["error"]
    file.unlink()
    with capture_logs() as logs:
        assert ca.load() is before
    assert "cannot be read: no such file" in logs[0]["reason"]
    file.write_text(pem("one", "two"))
    assert ca.load().count == 2


def test_no_file_is_an_empty_trust_store() -> None:
    """Without a CA file nothing is trusted by one."""
    assert CaFile(None).load().count == 0
    assert open_ca_file(ValidationSettings(), {}).load().count == 0


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read: no such file"),
        (b"", "is neither a PKCS#12 file nor a Java keystore"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA", "is ruined"),
        (jks_writing.jks([], PASSWORD), "holds no certificate"),
        (b"\xce\xce\xce\xce", "is a JCEKS keystore"),
        (pem("one").encode() + b"\n" * MAX_IMPORT, "has more than the 16777216 bytes of one"),
    ],
)
def test_unusable_file_is_one_sentence(
    tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    """Whatever is wrong with the CA file at the start is told with its name."""
    file = tmp_path / "ca"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CaFileError, match=f"^the CA file {file} {sentence}"):
        read_trust(file, PASSWORD)
    password_file = tmp_path / "password"
    password_file.write_text(PASSWORD)
    with pytest.raises(SettingsError, match=f"`validation.ca_file`: the CA file {file}"):
        open_ca_file(ValidationSettings(str(file), str(password_file)), {})


def test_trusted_certificates_of_a_jks_count_and_its_keys_do_not(tmp_path: Path) -> None:
    """Only what the trust store trusts is a root, opened with the password of a file."""
    one, two = key_pair("one"), key_pair("two")
    entries = [
        jks_writing.trusted_entry("root", one.certificate.der),
        jks_writing.key_entry("key", two.private_key, [two.certificate.der], PASSWORD),
    ]
    file, password_file = tmp_path / "trust.jks", tmp_path / "rcs.properties"
    file.write_bytes(jks_writing.jks(entries, PASSWORD))
    password_file.write_text(f"cacertstorepassword={PASSWORD}\n")
    settings = ValidationSettings(str(file), str(password_file))
    assert open_ca_file(settings, {}).load().count == 1
    with pytest.raises(SettingsError, match="its password is another one"):
        open_ca_file(settings, {"RECLAB_CA_PASSWORD": "wrong"})

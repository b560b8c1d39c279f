"""Java properties and rcs.properties: what Java reads is read, and becomes settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_server.keystore.opening import open_keystore
from crypto_server.keystore.password_files import (
    PasswordFileError,
    read_password_file,
    replace_password,
)
from crypto_server.properties import PropertiesError, parse_properties, replace_property
from crypto_server.rcs_properties import load_crypto_settings
from crypto_server.settings import CA_PASSWORD, read_password
from service_shell.settings import SettingsError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=b", {"a": "b"}),
        ("a = b\r\nc:d\re f\n", {"a": "b", "c": "d", "e": "f"}),
        ("a\t:\tb", {"a": "b"}),
        ("  a  b = c ", {"a": "b = c "}),
        ("a==b", {"a": "=b"}),
        ("# a=b\n  ! c=d\n\n \t\ne=f", {"e": "f"}),
        ("a=b\\\n   c\\\r\n\td", {"a": "bcd"}),
        ("a=b\\\\\nc=d", {"a": "b\\", "c": "d"}),
        ("# no \\\na=b", {"a": "b"}),
        ("a=b\\", {"a": "b"}),
        ("a\\ b\\=c\\:d=e", {"a b=c:d": "e"}),
        ("a=\\t\\n\\q\\u00fc\\ud83d\\ude00", {"a": "\t\nqü😀"}),
        ("a=\xfc", {"a": "ü"}),
        ("lonely", {"lonely": ""}),
        ("=b", {"": "b"}),
        ("a=1\na=2", {"a": "2"}),
        ("path=c\\:\\\\keystore\\\\ca_cert.pem", {"path": "c:\\keystore\\ca_cert.pem"}),
        ("a=\\\n", {"a": ""}),
        ("", {}),
    ],
)
def test_properties_are_read_as_java_does(text: str, expected: dict[str, str]) -> None:
    """Separators, comments, continued lines and escapes mean what java.util.Properties says."""
    assert parse_properties(text.encode("latin-1")) == expected


@pytest.mark.parametrize("text", ["a=\\u12", "a=\\u12g4", "x=1\nb=\\u", "a=\\ud83d"])
def test_broken_escapes_are_told_with_their_line(text: str) -> None:
    r"""A \u without four digits, or with half a character, is an error that names the line."""
    with pytest.raises(PropertiesError, match=f"^line {text.count(chr(10)) + 1} has "):
        parse_properties(text.encode("latin-1"))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Whatever the bytes are, the answer is keys and values, or one error."""
    try:
        found = parse_properties(data)
    except PropertiesError:
        assert b"\\u" in data
    else:
        assert len(found) <= data.count(b"\n") + data.count(b"\r") + 1


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_replaced_value_is_read_back_and_nothing_else_changes(value: str) -> None:
    """Any password can be put in place of another, continued over lines or not."""
    before = "# a comment\r\nfirst : 1\r\n"
    after = "last=\\u00fc\n#end"
    data = f"{before}  secret = o\\\n  ld\n{after}".encode("latin-1")
    changed = replace_property(data, "secret", value)
    assert parse_properties(changed) == {"first": "1", "secret": value, "last": "ü"}
    assert changed.startswith(before.encode())
    assert changed.endswith(after.encode())


def test_property_that_is_missing_is_not_made() -> None:
    """Replacing what is not there is an error that names the key."""
    with pytest.raises(PropertiesError, match="there is no secret"):
        replace_property(b"a=b", "secret", "x")


REAL = """\
# Recording Crypto Server
cacertstorepath = ca_cert.pem
cacertstorepassword = c\\u00e4 password
keystorepath=keys
keystorepassword=the keystore password
listen=127.0.0.1:0
processorurl=http://127.0.0.1:8802
allowsha1=true
minimumkeybits=1024
htcc.baseurl=http://htcc:8080
confserver.password=another secret
"""


@pytest.fixture
def properties(tmp_path: Path) -> Path:
    """An rcs.properties as an administrator has it."""
    file = tmp_path / "rcs.properties"
    file.write_text(REAL, encoding="latin-1")
    return file


def test_properties_become_settings(properties: Path) -> None:
    """Known keys are settings, paths beside the file; passwords are read from it, never shown."""
    settings, notes = load_crypto_settings(properties, {})
    folder = properties.parent
    assert settings.validation.ca_file == str(folder / "ca_cert.pem")
    assert (settings.validation.allow_sha1, settings.validation.minimum_key_bits) == (True, 1024)
    assert settings.keystore.folder == str(folder / "keys")
    assert settings.listen == "127.0.0.1:0"
    ca = read_password(settings.validation.ca_password_file, CA_PASSWORD, "the CA file", {})
    assert ca == "cä password"
    for secret in ("cä password", "the keystore password", "another secret"):
        assert secret not in repr(settings)
        assert secret not in " ".join(notes)
    assert notes == (
        f"{properties} has keys that mean nothing here: 'confserver.password', 'htcc.baseurl'",
    )


def test_toml_goes_over_properties_and_the_environment_over_both(
    properties: Path, tmp_path: Path
) -> None:
    """Of three places that say something, the environment counts first, the properties last."""
    toml = tmp_path / "crypto.toml"
    toml.write_text(
        f'rcs_properties = "{properties}"\nlisten = "127.0.0.1:1"\n[keystore]\nfolder = "toml"\n'
    )
    environ = {"RECLAB_CRYPTO__KEYSTORE__FOLDER": "environment"}
    settings, notes = load_crypto_settings(toml, environ)
    assert settings.listen == "127.0.0.1:1"
    assert settings.keystore.folder == "environment"
    assert settings.processor.url == "http://127.0.0.1:8802"
    assert len(notes) == 1


def test_toml_alone_is_as_before(tmp_path: Path) -> None:
    """Without properties there is nothing to note."""
    toml = tmp_path / "crypto.toml"
    toml.write_text('listen = "127.0.0.1:1"\n')
    settings, notes = load_crypto_settings(toml, {})
    assert (settings.listen, notes) == ("127.0.0.1:1", ())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("minimumkeybits=many", "validation.minimum_key_bits.*with .*rcs.properties"),
        ("a=\\u12", "is not a properties file: line 1 has"),
        (None, "rcs.properties: cannot be read"),
        ("#" * (1 << 20) + "\n", "is too large"),
    ],
)
def test_unusable_properties_are_one_sentence(
    tmp_path: Path, text: str | None, sentence: str
) -> None:
    """A wrong value, a broken escape or a missing file is told with the file's name."""
    file = tmp_path / "rcs.properties"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingsError, match=sentence):
        load_crypto_settings(file, {})


def test_keystore_password_is_changed_in_the_properties(properties: Path) -> None:
    """A change of the keystore password rewrites its line of rcs.properties and no other."""
    settings, _ = load_crypto_settings(properties, {})
    keystore = open_keystore(settings.keystore, {})
    assert keystore.change_password("new = pässword") == 0
    assert read_password_file(properties) == "new = pässword"
    lines = properties.read_text(encoding="latin-1").splitlines()
    assert [line for line in lines if line not in REAL.splitlines()] == [
        "keystorepassword=new \\= p\\u00e4ssword"
    ]


def test_password_from_the_environment_is_not_written_anywhere(properties: Path) -> None:
    """With a password from the environment the file is left alone, and the keystore says so."""
    settings, _ = load_crypto_settings(properties, {})
    keystore = open_keystore(settings.keystore, {"RECLAB_KEYSTORE_PASSWORD": "from outside"})
    assert keystore.password_file is None
    keystore.change_password("new")
    assert properties.read_text(encoding="latin-1") == REAL


def test_password_files_keep_their_mode_and_refuse_line_ends(tmp_path: Path) -> None:
    """A rewritten file has the mode that it had, a new one 0600; a link's target is rewritten."""
    file, link = tmp_path / "password", tmp_path / "link"
    file.write_text("old")
    file.chmod(0o440)
    link.symlink_to(file)
    replace_password(link, "new")
    assert link.is_symlink()
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("new\n", 0o440)
    with pytest.raises(PasswordFileError, match="cannot have line ends"):
        replace_password(file, "two\nlines")
    assert read_password_file(file) == "new"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"one\ntwo\n", "has more than one line"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"\r\n", "is empty"),
        (b"x" * (1 << 20) + b"x", "is too large to be one"),
        (None, "cannot be read: no such file or directory"),
    ],
)
def test_password_file_that_is_none_is_told(
    tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    """What has not exactly one line of text is refused by name: half of it would be lost."""
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(PasswordFileError, match=f"the password file {file} {sentence}"):
        read_password_file(file)

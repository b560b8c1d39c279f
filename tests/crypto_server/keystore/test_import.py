"""Import of other keystores: what is read, what is refused, and by which sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from asn1crypto import pkcs12
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption
from cryptography.hazmat.primitives.serialization import pkcs12 as whole
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto_server.errors import KeystoreError
from crypto_server.keystore import KeyEntry, Keystore, key_entry
from crypto_server.keystore.import_entries import import_entries, import_into
from crypto_server.keystore.pkcs12_merging import merged_pkcs12, with_java_aliases
from recording_format import der
from recording_format.certificates import read_x509
from tests.crypto_server.keys import key_pair
from tests.crypto_server.keystore import jks_writing
from tests.crypto_server.keystore.entries import entry, small_entry

PASSWORD = "the file's password"
ONE, TWO = entry("one"), entry("two")


@pytest.fixture(autouse=True)
def _quick_derivation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here is about how hard a password is to guess."""
    monkeypatch.setattr(key_entry, "_KDF_ROUNDS", 1)


def jks_with(*entries: bytes, password: str = PASSWORD) -> bytes:
    """Return a JKS with these entries."""
    return jks_writing.jks(entries, password)


def jks_key(alias: str, one: KeyEntry, *above: KeyEntry, password: str = PASSWORD) -> bytes:
    """Return the JKS entry of a key with its certificate and those above it."""
    chain = [item.certificate.der for item in (one, *above)]
    return jks_writing.key_entry(alias, one.private_key, chain, password)


def found_in(data: bytes, *, key_password: str = "") -> list[tuple[str, str]]:
    """Return old alias and id of every entry that is imported."""
    return [
        (one.old_alias, one.certificate.fingerprint)
        for one in import_entries(data, PASSWORD, key_password=key_password, name="old")
    ]


def test_keys_of_a_jks_are_imported_with_their_leaf() -> None:
    """Each key comes with the certificate that is its own, whatever stands above it."""
    data = jks_with(
        jks_writing.trusted_entry("a root", ONE.certificate.der),
        jks_key("jüne 😀", ONE, TWO),
        jks_key("two", TWO),
    )
    expected = [("jüne 😀", ONE.certificate.fingerprint), ("two", TWO.certificate.fingerprint)]
    assert found_in(data) == expected


def test_leaf_that_is_not_first_is_found() -> None:
    """A chain in the wrong order still gives the certificate of the key."""
    chain = [TWO.certificate.der, ONE.certificate.der]
    data = jks_with(jks_writing.key_entry("one", ONE.private_key, chain, PASSWORD))
    assert found_in(data) == [("one", ONE.certificate.fingerprint)]


def test_jks_of_version_1_is_read() -> None:
    """The older layout, without kinds of certificates, is read too."""
    one = jks_writing.key_entry("a", ONE.private_key, [ONE.certificate.der], PASSWORD, version=1)
    data = jks_writing.jks([one], PASSWORD, version=1)
    assert found_in(data) == [("a", ONE.certificate.fingerprint)]


def test_other_key_password_of_a_jks() -> None:
    """Keys under a password of their own open with it, and are told by name without it."""
    data = jks_with(jks_key("one", ONE, password="the key's"))
    assert found_in(data, key_password="the key's") == [("one", ONE.certificate.fingerprint)]
    with pytest.raises(KeystoreError, match="entry 'one' of old does not open: it has another"):
        found_in(data)


def test_entries_can_be_chosen_by_alias() -> None:
    """Only the named aliases are taken, compared as Java does; an unknown one is told."""
    data = jks_with(jks_key("one", ONE), jks_key("Two", TWO))
    chosen = import_entries(data, PASSWORD, name="old", only=["tWO"])
    assert [one.certificate for one in chosen] == [TWO.certificate]
    with pytest.raises(KeystoreError, match="old has no key under the alias 'three'"):
        import_entries(data, PASSWORD, name="old", only=["three", "two"])


def test_entry_that_cannot_be_used_refuses_the_file() -> None:
    """An EC key or a certificate of another key is told by its alias; nothing is left out."""
    key = ec.generate_private_key(ec.SECP256R1())
    foreign = jks_writing.key_entry("web", key, [ONE.certificate.der], PASSWORD)
    with pytest.raises(KeystoreError, match="entry 'web' of old has no RSA key"):
        found_in(jks_with(jks_key("one", ONE), foreign))
    odd = jks_writing.key_entry("odd", ONE.private_key, [TWO.certificate.der], PASSWORD)
    with pytest.raises(KeystoreError, match="entry 'odd' of old has no certificate that belongs"):
        found_in(jks_with(odd))
    with pytest.raises(KeystoreError, match="old holds no private key"):
        found_in(jks_with(jks_writing.trusted_entry("root", ONE.certificate.der)))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "neither a PKCS#12 file nor a Java keystore"),
        (b"nonsense", "neither a PKCS#12 file nor a Java keystore"),
        (b"\xce\xce\xce\xce\0\0\0\2", "is a JCEKS keystore.*-srcstoretype JCEKS"),
        (bytes.fromhex("308203e8308203983066"), "is a BCFKS keystore.*-srcstoretype BCFKS"),
        (bytes.fromhex("0000000200000014"), "is a BKS keystore"),
        (b"-----BEGIN PRIVATE KEY-----\n", "is PEM text, not a keystore"),
        (b"\xfe\xed\xfe\xed\0\0\0\2\0\0\0\1", "its password is another one, or it is cut"),
        (b"\x30\x82\x7f\xff", "is not a PKCS#12 file that can be read"),
        (b"\x30\x03\x02\x01\x03", "is not a PKCS#12 file that can be read"),
        (bytes((16 << 20) + 1), "more than a keystore may"),
    ],
)
def test_what_is_not_read_is_told_by_its_kind(data: bytes, sentence: str) -> None:
    """Every other form is refused in a sentence; keytool's command stands in it where it helps."""
    with pytest.raises(KeystoreError, match=f"(?s)^old .*{sentence}"):
        import_entries(data, PASSWORD, name="old")


@pytest.mark.parametrize(
    "body",
    [
        bytes.fromhex("feedfeed 00000003 00000000"),
        bytes.fromhex("feedfeed 00000002 00000001"),
        bytes.fromhex("feedfeed 00000002 ffffffff"),
        bytes.fromhex("feedfeed 00000002 00000001 00000003 0001 61 0000000000000000"),
        bytes.fromhex("feedfeed 00000002 00000001 00000001 0001 61 0000000000000000 ffffffff"),
        bytes.fromhex("feedfeed 00000002 00000001 00000001 0002 ffff 0000000000000000"),
        bytes.fromhex("feedfeed 00000002 00000000 00"),
    ],
)
def test_signed_nonsense_in_a_jks_is_refused(body: bytes) -> None:
    """A JKS whose digest is right and whose fields are not is refused as unreadable."""
    with pytest.raises(KeystoreError, match="old is not a Java keystore that can be read"):
        import_entries(jks_writing.signed(body, PASSWORD), PASSWORD, name="old")


def test_merged_file_is_read_back() -> None:
    """Several keys in one PKCS#12 file come back, each with its own certificate and alias."""
    data = merged_pkcs12([ONE, TWO], PASSWORD)
    assert found_in(data) == [
        (ONE.alias, ONE.certificate.fingerprint),
        (TWO.alias, TWO.certificate.fingerprint),
    ]


def test_renewed_certificate_with_the_same_key_keeps_its_own_alias() -> None:
    """Two certificates of one key are told apart by their aliases."""
    renewed = key_pair("renewed", key_label="one")
    both = [ONE, KeyEntry("renewed", renewed.certificate, renewed.private_key)]
    assert found_in(merged_pkcs12(both, PASSWORD)) == [
        (one.alias, one.certificate.fingerprint) for one in both
    ]


def test_aliases_that_java_confuses_get_a_suffix() -> None:
    """Aliases that differ by nothing but case are made different, and no others."""
    other = KeyEntry(ONE.alias.upper(), TWO.certificate, TWO.private_key)
    named = [one.alias for one in with_java_aliases([ONE, other, TWO])]
    suffix = TWO.certificate.fingerprint[:8]
    assert named == [ONE.alias, f"{ONE.alias.upper()} #{suffix}", TWO.alias]


def test_file_without_mac_is_not_believed() -> None:
    """A PKCS#12 file without a MAC is refused: anybody could have put a key into it."""
    file = pkcs12.Pfx.load(ONE.to_pkcs12(PASSWORD))
    without = pkcs12.Pfx({"version": "v3", "auth_safe": file["auth_safe"]}).dump()
    with pytest.raises(KeystoreError, match="has no integrity check"):
        import_entries(without, PASSWORD, name="old")


def test_mac_of_another_kind_is_refused() -> None:
    """A MAC that says its own rounds (PBMAC1) is told as such, before anything is derived."""
    file = pkcs12.Pfx.load(ONE.to_pkcs12(PASSWORD))
    file["mac_data"]["mac"]["digest_algorithm"]["algorithm"] = "1.2.840.113549.1.5.14"
    with pytest.raises(KeystoreError, match=r"integrity check \(MAC\) of a kind that is not read"):
        import_entries(file.dump(force=True), PASSWORD, name="old")


def test_endless_derivation_is_refused_before_it_begins() -> None:
    """A file that asks for billions of rounds costs nothing."""
    for ruin in (_many_mac_rounds, _many_key_rounds):
        with pytest.raises(KeystoreError, match="asks for more work than a keystore may"):
            import_entries(ruin(ONE.to_pkcs12(PASSWORD)), PASSWORD, name="old")


def _many_mac_rounds(data: bytes) -> bytes:
    file = pkcs12.Pfx.load(data)
    file["mac_data"]["iterations"] = 2**31 - 1
    return bytes(file.dump(force=True))


def _many_key_rounds(data: bytes) -> bytes:
    file = pkcs12.Pfx.load(data)
    parts = list(file.authenticated_safe)
    for part in parts:
        if part["content_type"].native == "data":
            bags = pkcs12.SafeContents.load(part["content"].native)
            algorithm = bags[0]["bag_value"]["encryption_algorithm"]
            algorithm["parameters"]["key_derivation_func"]["parameters"]["iteration_count"] = 2**31
            part["content"] = bags.dump(force=True)
    safe = pkcs12.AuthenticatedSafe(parts).dump(force=True)
    file["auth_safe"]["content"] = safe
    return bytes(file.dump(force=True))


def test_entries_inside_entries_are_refused() -> None:
    """Keys that are nested are neither left out in silence nor derived without a bound."""
    file = pkcs12.Pfx.load(ONE.to_pkcs12(PASSWORD))
    parts = list(file.authenticated_safe)
    inner = next(part for part in parts if part["content_type"].native == "data")
    bag = {"bag_id": "safe_contents", "bag_value": pkcs12.SafeContents([])}
    inner["content"] = pkcs12.SafeContents([pkcs12.SafeBag(bag)]).dump()
    file["auth_safe"]["content"] = pkcs12.AuthenticatedSafe(parts).dump(force=True)
    with pytest.raises(KeystoreError, match="has entries inside entries"):
        import_entries(file.dump(force=True), PASSWORD, name="old")


def test_password_with_a_zero_character_is_refused() -> None:
    """OpenSSL ends a password there: no file is opened with the rest left out."""
    for data in (merged_pkcs12([ONE], PASSWORD), ONE.to_pkcs12(PASSWORD)):
        with pytest.raises(KeystoreError, match="cannot have a zero character"):
            import_entries(data, PASSWORD + "\0", name="old")
        with pytest.raises(KeystoreError, match="cannot have a zero character"):
            KeyEntry.from_pkcs12(data, PASSWORD + "\0", name="one")


def test_key_without_encryption_of_its_own_is_read() -> None:
    """A PKCS#12 file with a friendly name on nothing is read by the key's certificate."""
    data = whole.serialize_key_and_certificates(
        None,
        ONE.private_key,
        read_x509(ONE.certificate.der, "one"),
        [read_x509(TWO.certificate.der, "two")],
        BestAvailableEncryption(PASSWORD.encode()),
    )
    assert found_in(data) == [("", ONE.certificate.fingerprint)]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_ruined_files_are_refused_in_a_sentence(data: st.DataObject) -> None:
    """A changed byte is refused, or the same key comes out; nothing else is ever raised."""
    small = small_entry("one")
    good = data.draw(st.sampled_from([_jks_of(small), merged_pkcs12([small], PASSWORD)]))
    at = data.draw(st.integers(0, len(good) - 1))
    ruined = good[:at] + data.draw(st.binary(max_size=4)) + good[at + 1 :]
    try:
        (found,) = import_entries(ruined, PASSWORD, name="old")
    except KeystoreError:
        return
    assert found.certificate == small.certificate
    assert found.private_key.private_numbers() == small.private_key.private_numbers()


def _jks_of(one: KeyEntry) -> bytes:
    return jks_with(jks_key("one", one))


def test_wrong_password_is_told_without_it() -> None:
    """Another password is refused for either form, and stands in no message."""
    for data in (merged_pkcs12([ONE], PASSWORD), jks_with(jks_key("one", ONE))):
        with pytest.raises(KeystoreError, match="its password is another one") as caught:
            import_entries(data, "a wrong one", name="old")
        assert "a wrong one" not in str(caught.value)


def test_imported_keys_get_the_alias_of_recordings(tmp_path: Path) -> None:
    """In the keystore an entry has the alias that a media server writes; a second time is kept."""
    keystore = Keystore.open(tmp_path / "keystore", "the keystore's")
    found = import_entries(jks_with(jks_key("x", ONE), jks_key("y", TWO)), PASSWORD, name="old")
    assert import_into(keystore, "North", 7, found) == (2, 0, 0)
    aliases = {one.alias for one in keystore.entries("North")}
    assert aliases == {entry("one", "North", 7).alias, entry("two", "North", 7).alias}
    assert import_into(keystore, "North", 7, found) == (0, 2, 0)
    assert keystore.entries("South") == []


def test_a_long_identifier_is_refused_before_it_is_read() -> None:
    """An identifier that would take minutes to read is refused at once, at any depth."""
    long = der.value(der.OBJECT_IDENTIFIER, b"\x81" * 200_000 + b"\x01")
    info = der.value(der.SEQUENCE, bytes.fromhex("06092a864886f70d010701"), _octets(long))
    for hostile in (long, der.value(der.SEQUENCE, info)):
        mac_later = der.value(der.SEQUENCE)
        safe = der.value(der.SEQUENCE, bytes.fromhex("06092a864886f70d010701"), _octets(hostile))
        with pytest.raises(KeystoreError, match=r"x\.p12 is not a PKCS#12 file that can be read"):
            import_entries(der.value(der.SEQUENCE, der.integer(3), long), PASSWORD, name="x.p12")
        with pytest.raises(KeystoreError, match=r"x\.p12"):
            import_entries(
                der.value(der.SEQUENCE, der.integer(3), safe, mac_later), PASSWORD, name="x.p12"
            )


def _octets(data: bytes) -> bytes:
    return der.value(der.CONTEXT_0_CONSTRUCTED, der.value(der.OCTET_STRING, data))

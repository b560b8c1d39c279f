"""Profiles from TOML and JSON: refused by path, ruined certificates kept and reported by name."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from recording_format.ivr_profile import IvrProfile, Tenant
from recording_processor.errors import BadParameter
from recording_processor.profile_options import check_profile
from recording_processor.profile_problems import problems
from recording_processor.provisioning import decode_profile, read_provisions
from tests.recording_processor.samples import Json, profile

NOW = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)
TOML = """
[[tenants]]
name = "Environment"
dbid = 1

[[profiles]]
dbid = 101
name = "recording"
tenant = "Environment"
certificate_files = ["a.pem", "b.pem"]

[profiles.sections."gvp.general"]
service-type = "record"
"""


@pytest.fixture(scope="session")
def certificate() -> str:
    """A recording certificate, PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "recording")])
    began = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(10)
        .not_valid_before(began)
        .not_valid_after(began + datetime.timedelta(days=365))
        .sign(key, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM).decode()


def decode(**changed: object) -> IvrProfile:
    """Read the sample profile with some keys changed; None leaves one out."""
    whole = {**profile(), **changed}
    body = {key: value for key, value in whole.items() if value is not None}
    return decode_profile(msgspec.json.encode(body), dbid=101)


def sections(parameters: Mapping[str, str]) -> Json:
    """Return the sections of the sample profile with other service parameters."""
    found: Json = profile(101, parameters)["sections"]
    return found


def test_toml_gives_tenants_and_profiles() -> None:
    """Tenants, profiles, and certificate files that become numbered options."""
    read = read_provisions(TOML, read_certificate=lambda name: f"text of {name}")
    assert read.tenants == (Tenant(name="Environment", dbid=1),)
    (found,) = read.profiles
    assert (found.dbid, found.name, found.records) == (101, "recording", True)
    assert found.certificates == [
        ("certificates-1", "text of a.pem"),
        ("certificates-2", "text of b.pem"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("dbid = 101", "dbid = 0", "dbid: it is not from 1 to"),
        ("dbid = 101", 'dbid = "x"', "profiles[0].dbid: expected `int`"),
        ("dbid = 101", "", "profiles[0].dbid: it is missing"),
        ("dbid = 101", "dbid = 101\ncolour = 1", "profiles[0].colour: it is unknown"),
        ('tenant = "Environment"', 'tenant = "T"', "profile 101: 'T' is not one of the tenants"),
        ("[[tenants]]", "[[tenants", "is not valid TOML"),
        ('name = "recording"', 'name = " "', "name: it is empty"),
        ("service-type =", '"recordingclient.type" =', ""),
    ],
)
def test_wrong_toml_is_named(old: str, new: str, sentence: str) -> None:
    """What is wrong in the file is told by its path."""
    text = TOML.replace(old, new, 1)
    if not sentence:
        assert read_provisions(text, read_certificate=str).profiles
        return
    with pytest.raises(BadParameter) as refused:
        read_provisions(text, read_certificate=str)
    assert str(refused.value).startswith(sentence)


def test_one_dbid_is_one_profile() -> None:
    """Two profiles of one DBID in a file are refused."""
    profiles = TOML[TOML.index("[[profiles]]") :]
    with pytest.raises(BadParameter, match="two profiles have the DBID 101"):
        read_provisions(TOML + profiles, read_certificate=str)


def test_a_profile_is_read_from_json() -> None:
    """The JSON of a profile reads as it stands; the DBID may be left to the address."""
    for change in ({}, {"dbid": None}):
        found = decode(**change)
        assert found.dbid == 101
        assert found.storage_credentials == ("mcp", "store-secret")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"name": None}, "name: it is missing"),
        ({"name": "x" * 256}, "name: it is empty or longer than 255 characters"),
        ({"tenant": {"name": "Environment"}}, "tenant.dbid: it is missing"),
        ({"tenant": {"name": "Environment", "dbid": -1}}, "tenant.dbid: it is not from 1 to"),
        ({"sections": {"a": {"b": 1}}}, "sections[...][...]: expected `str`, got `int`"),
        ({"dbid": 7}, "dbid: the body says 7, the address 101"),
        ({"colour": "red"}, "colour: it is unknown"),
        (
            {"sections": sections({"recordingclient.type": "fixed,audio/ogg"})},
            "sections.gvp.service-parameters.recordingclient.type: it is not one of",
        ),
        (
            {"sections": sections({"recordingclient.recdest": "fixed,http://u:hush@store/"})},
            "sections.gvp.service-parameters.recordingclient.recdest: it is not an http",
        ),
        (
            {"sections": sections({"recordingclient.callrec_dest": "fixed,gopher://x"})},
            "sections.gvp.service-parameters.recordingclient.callrec_dest: it is not an http",
        ),
        (
            {"sections": sections({"recordingclient.httpauthorization": "fixed,hush"})},
            "sections.gvp.service-parameters.recordingclient.httpauthorization: it is not of",
        ),
    ],
)
def test_a_wrong_profile_is_named_without_its_values(change: Json, sentence: str) -> None:
    """What is wrong in a profile is told by its path; no value, maybe a secret, is repeated."""
    with pytest.raises(BadParameter) as refused:
        decode(**change)
    assert str(refused.value).startswith(sentence)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("body", [b"", b"[", b"[]", b"\xff", b'{"name":"\\ud800"}'])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    """Any other body is refused in a sentence."""
    with pytest.raises(BadParameter):
        decode_profile(body, dbid=101)


def test_a_good_certificate_is_no_problem(certificate: str) -> None:
    """A profile whose certificates can be read has no problems."""
    found = decode()
    found.sections["recording-certificates"]["certificates-1"] = certificate
    check_profile(found)
    assert problems(found, now=NOW) == []


def test_a_ruined_certificate_is_reported_by_name(certificate: str) -> None:
    """A certificate that lost its line ends is named, and only that one."""
    found = decode()
    ruined = certificate.replace("\n", "")[:-40]
    found.sections["recording-certificates"] |= {
        "certificates-1": certificate,
        "certificates-2": ruined,
    }
    (problem,) = problems(found, now=NOW)
    assert (problem.section, problem.option) == ("recording-certificates", "certificates-2")
    assert "certificates-2" in problem.problem


def test_a_profile_without_certificates_says_so() -> None:
    """A recording profile that could never record is reported, unless it means to be plain."""
    assert [problem.option for problem in problems(decode(), now=NOW)] == ["certificates-1"]
    plain = decode(sections=sections({"lab.unencrypted": "fixed,true"}))
    assert problems(plain, now=NOW) == []

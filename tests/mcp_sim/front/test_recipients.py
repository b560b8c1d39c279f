"""For whom a recording is encrypted, and when it is refused."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from mcp_sim.ca_files import CaFiles
from mcp_sim.config import McpSettings, MpcSettings
from mcp_sim.recipients import CAUSES, Recipients, RecordingRefused, choose_recipients
from mcp_sim.refusals import Refusals
from recording_format.bundle import MAX_BUNDLE_TEXT
from recording_format.errors import (
    CERTIFICATE_REASONS,
    CertificateError,
    CertificateRefused,
    CertificateUnreadable,
)
from recording_format.ivr_profile import IvrProfile
from service_shell.settings import SettingsError, load_settings
from tests.mcp_sim.front.pki import NOW, authority, ca_file, profile, recording_pair, with_options
from tests.recording_format import authority as makers
from tests.recording_format.chains.making import Made, make, make_ca

ONE, TWO = (recording_pair(n).certificate_pem for n in (1, 2))


def choose(folder: Path, chosen: IvrProfile, now: datetime = NOW) -> Recipients:
    return choose_recipients(chosen, MpcSettings(ca_file=str(ca_file(folder))), CaFiles(), now)


def test_each_certificate_is_a_recipient(tmp_path: Path) -> None:
    """Two certificates make two recipients, in order, with the tenant in their aliases."""
    recipients = choose(tmp_path, profile(ONE, TWO))
    assert [c.pem for c in recipients.certificates] == [ONE, TWO]
    assert all(a.startswith("rcs_Environment:1:C=US,ST=CA,") for a in recipients.aliases)
    assert recipients.encrypted


@pytest.mark.parametrize(
    ("shift", "cause"),
    [
        (timedelta(days=-2), "certificate-not-yet-valid"),
        (timedelta(days=731), "certificate-expired"),
    ],
)
def test_dates_refuse(tmp_path: Path, shift: timedelta, cause: str) -> None:
    """A certificate outside its dates refuses the recording and names the cause."""
    with pytest.raises(RecordingRefused, match="'recording'") as caught:
        choose(tmp_path, profile(ONE), NOW + shift)
    assert caught.value.cause == cause


def test_ruined_certificate_refuses_by_name(tmp_path: Path) -> None:
    """A certificate that lost its line ends is named by its option."""
    with pytest.raises(RecordingRefused, match="certificates-2"):
        choose(tmp_path, profile(ONE, TWO.replace("\n", " ")))


def test_skip_unusable(tmp_path: Path) -> None:
    """Where the profile says so, the recording is made for the rest, and the skipped is told."""
    chosen = profile(ONE, TWO.replace("\n", " "), lab__skip_unusable="true")
    recipients = choose(tmp_path, chosen)
    assert [c.pem for c in recipients.certificates] == [ONE]
    assert "certificates-2" in recipients.skipped[0]


def test_skip_unusable_needs_one_left(tmp_path: Path) -> None:
    """With no usable certificate at all the recording is refused, and never made plain."""
    with pytest.raises(RecordingRefused):
        choose(tmp_path, profile(ONE.replace("\n", " "), lab__skip_unusable="true"))


def test_no_certificates(tmp_path: Path) -> None:
    """Without certificates: refused, unless the profile asks for plain recordings."""
    with pytest.raises(RecordingRefused, match="no certificates"):
        choose(tmp_path, profile())
    assert not choose(tmp_path, profile(lab__unencrypted="true")).encrypted


def test_profile_overrides_the_ca_file(tmp_path: Path) -> None:
    """The profile's CA file counts for its calls; one that is missing refuses and is named."""
    override = "recordingclient__gvp__config__mpc__mediamgr__CA_file"
    other = with_parameter(override.replace("__", "."), str(tmp_path / "gone.pem"))
    with pytest.raises(RecordingRefused, match=r"gone\.pem"):
        choose(tmp_path, other)


def with_parameter(name: str, value: str) -> IvrProfile:
    made = profile(ONE)
    made.sections["gvp.service-parameters"][name] = f"fixed,{value}"
    return made


OVERRIDE = "recordingclient.gvp.config.mpc."
MINIMUM_BITS, ALLOW_SHA1 = OVERRIDE + "lab.minimum-key-bits", OVERRIDE + "lab.allow-sha1"
CA_FILE, SELF_SIGNED = OVERRIDE + "mediamgr.CA_file", "lab.trust-self-signed"
RUINED = authority().certificate_pem.replace("\n", " ").encode()
THEN = makers.NOW
ROOT = make_ca("example_ca", makers.rsa_key(0))
OWN = make("self")
SMALL = make("small", makers.rsa_key(1, 1024), issuer=ROOT)
BY_SHA1 = make("weak", issuer=ROOT, digest="sha1")


def chosen(
    folder: Path, certificate: Made, said: dict[str, str], mpc: MpcSettings | None = None
) -> Recipients:
    """Choose for this certificate under `ROOT`, with these service parameters."""
    path = folder / "ca.pem"
    path.write_text(ROOT.pem)
    made = with_options(profile(certificate.pem), said)
    return choose_recipients(made, mpc or MpcSettings(ca_file=str(path)), CaFiles(), THEN)


@pytest.mark.parametrize(
    ("certificate", "said", "cause", "sentence"),
    [
        (SMALL, {}, "certificate-key-too-small", "a key of 1024 bits, fewer than 2048"),
        (SMALL, {MINIMUM_BITS: "1025"}, "certificate-key-too-small", "fewer than 1025"),
        (SMALL, {MINIMUM_BITS: "1023"}, "profile-option",
         "lab.minimum-key-bits is '1023', not a number from 1024 to 16384"),
        (SMALL, {MINIMUM_BITS: "16385"}, "profile-option", "'16385', not a number"),
        (SMALL, {MINIMUM_BITS: "9" * 5000}, "profile-option", "not a number"),
        (SMALL, {MINIMUM_BITS: "-1024"}, "profile-option", "'-1024', not a number"),
        (SMALL, {MINIMUM_BITS: "١٠٢٤"}, "profile-option", "not a number"),
        (BY_SHA1, {}, "certificate-algorithm", "is signed with SHA-1, which is not allowed"),
        (BY_SHA1, {ALLOW_SHA1: "no"}, "certificate-algorithm", "SHA-1"),
        (BY_SHA1, {ALLOW_SHA1: "please"}, "profile-option",
         "profile 'recording': lab.allow-sha1 is 'please', not true or false"),
        (OWN, {}, "certificate-untrusted", "it is self-signed and not in the CA file"),
        (OWN, {SELF_SIGNED: "false"}, "certificate-untrusted", "self-signed"),
        (OWN, {SELF_SIGNED: "ture"}, "profile-option", "lab.trust-self-signed is 'ture', not true"),
        (OWN, {"lab.skip-unusable": "on"}, "profile-option", "lab.skip-unusable is 'on', not true"),
        (make("x", issuer=ROOT, forged_by=makers.rsa_key(2)), {}, "certificate-signature",
         "was not made by the key of"),
        (make("x", issuer=make("y", makers.rsa_key(2))), {SELF_SIGNED: "true"},
         "certificate-untrusted", "no chain leads from"),
    ],
)  # fmt: skip
def test_policies_refuse_by_their_reason(
    tmp_path: Path, certificate: Made, said: dict[str, str], cause: str, sentence: str
) -> None:
    """Each refusal has its own cause; an option that cannot be followed is named, not guessed."""
    with pytest.raises(RecordingRefused) as refused:
        chosen(tmp_path, certificate, said)
    assert (refused.value.cause, sentence in str(refused.value)) == (cause, True)
    assert cause in CAUSES
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize(
    ("certificate", "said"),
    [
        (SMALL, {MINIMUM_BITS: "1024"}),
        (BY_SHA1, {ALLOW_SHA1: "true"}),
        (OWN, {SELF_SIGNED: "True"}),
        (OWN, {SELF_SIGNED: "yes", "lab.skip-unusable": "no"}),
    ],
)
def test_profiles_decide_for_themselves(
    tmp_path: Path, certificate: Made, said: dict[str, str]
) -> None:
    """A profile may lower the floor, allow SHA-1, or trust what is self-signed; others do not."""
    assert chosen(tmp_path, certificate, said).encrypted
    with pytest.raises(RecordingRefused):
        chosen(tmp_path, certificate, {})


def test_the_platform_decides_where_profiles_say_nothing(tmp_path: Path) -> None:
    """The section [mpc] has the same options; a profile goes over them, in both directions."""
    mpc = MpcSettings(ca_file=str(tmp_path / "ca.pem"), minimum_key_bits=1024, allow_sha1=True)
    assert chosen(tmp_path, SMALL, {}, mpc).encrypted
    assert chosen(tmp_path, BY_SHA1, {}, mpc).encrypted
    with pytest.raises(RecordingRefused, match="SHA-1"):
        chosen(tmp_path, BY_SHA1, {ALLOW_SHA1: "false"}, mpc)
    with pytest.raises(RecordingRefused, match="1024 bits"):
        chosen(tmp_path, SMALL, {MINIMUM_BITS: "2048"}, mpc)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('"lab.minimum-key-bits" = 1023', ">= 1024"),
        ('"lab.minimum-key-bits" = 16385', "<= 16384"),
        ('"lab.minimum-key-bits" = "many"', "int"),
        ('"lab.allow-sha1" = "perhaps"', "bool"),
    ],
)
def test_the_platform_s_options_are_checked_at_start(tmp_path: Path, line: str, fault: str) -> None:
    """A floor that is none, or a switch that is neither on nor off, is named with its file."""
    file = tmp_path / "mcp.toml"
    file.write_text(
        f'[spool]\nfolder="s"\nkeyring="k"\n[processor]\nurl="http://127.0.0.1:9"\n[mpc]\n{line}\n'
    )
    with pytest.raises(SettingsError, match=rf"mcp\.toml: .*{fault}"):
        load_settings(McpSettings, file, prefix="MCP", environ={})


def test_self_signed_needs_no_ca_file(tmp_path: Path) -> None:
    """Where the profile trusts self-signed certificates, no CA file has to be set; else it has."""
    assert chosen(tmp_path, OWN, {SELF_SIGNED: "true"}, MpcSettings()).encrypted
    with pytest.raises(RecordingRefused, match="no CA file is set") as refused:
        chosen(tmp_path, OWN, {}, MpcSettings())
    assert refused.value.cause == "ca-file"
    with pytest.raises(RecordingRefused, match="there is no CA file"):
        chosen(tmp_path, BY_SHA1, {SELF_SIGNED: "true", ALLOW_SHA1: "true"}, MpcSettings())


def test_garbled_encryption_off_is_not_off(tmp_path: Path) -> None:
    """A profile without certificates whose `lab.unencrypted` is garbled says so; no recording."""
    with pytest.raises(RecordingRefused, match=r"lab\.unencrypted is 'treu'") as refused:
        choose(tmp_path, profile(lab__unencrypted="treu"))
    assert refused.value.cause == "profile-option"


def test_dates_are_checked_at_each_use(tmp_path: Path) -> None:
    """One store and one profile: good in its time, refused before and after, good again."""
    mpc, files = MpcSettings(ca_file=str(ca_file(tmp_path))), CaFiles()
    pair = recording_pair(1)
    first, last = pair.certificate.not_valid_before_utc, pair.certificate.not_valid_after_utc
    second = timedelta(seconds=1)
    moments = [first - second, first, NOW, last, last + second, NOW]
    verdicts = []
    for moment in moments:
        try:
            choose_recipients(profile(ONE), mpc, files, moment)
            verdicts.append("good")
        except RecordingRefused as refused:
            verdicts.append(refused.cause)
    early, late = "certificate-not-yet-valid", "certificate-expired"
    assert verdicts == [early, "good", "good", "good", late, "good"]


def test_one_profile_does_not_stop_another(tmp_path: Path) -> None:
    """A ruined profile beside a good one: each is judged by itself."""
    files, mpc = CaFiles(), MpcSettings(ca_file=str(ca_file(tmp_path)))
    with pytest.raises(RecordingRefused, match=r"profile 'north': certificates-1 is ruined"):
        choose_recipients(profile(ONE.replace("\n", " "), name="north"), mpc, files, NOW)
    assert choose_recipients(profile(ONE, name="south"), mpc, files, NOW).encrypted


def test_skipped_certificates_have_their_reasons(tmp_path: Path) -> None:
    """What was skipped is told in a sentence and in a word for the metric."""
    skipping = profile(ONE, "ruined", BY_SHA1.pem, lab__skip_unusable="true")
    recipients = choose(tmp_path, skipping)
    assert recipients.skipped_reasons == ("unreadable", "untrusted")
    assert len(recipients.skipped) == 2


def test_every_reason_is_counted_from_the_start() -> None:
    """The causes that the metric begins with are all that a certificate can be refused for."""
    kinds: list[type[CertificateError]] = [
        CertificateUnreadable,
        *CertificateRefused.__subclasses__(),
    ]
    assert {kind.reason for kind in kinds} == set(CERTIFICATE_REASONS)
    assert not {CertificateError.reason, CertificateRefused.reason} & set(CERTIFICATE_REASONS)
    assert {f"certificate-{reason}" for reason in CERTIFICATE_REASONS} < set(CAUSES)
    registry = CollectorRegistry()
    Refusals(registry, CAUSES)
    for cause in CAUSES:
        assert registry.get_sample_value("reclab_mcp_calls_refused_total", {"cause": cause}) == 0
    assert len(set(CAUSES)) == len(CAUSES)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "the CA file {} cannot be read: no such file or directory"),
        ("folder", "the CA file {} is not a file"),
        ("fifo", "the CA file {} is not a file"),
        (b"", "the CA file {} holds no certificate in PEM"),
        (RUINED, "certificate 1 of the CA file {} is ruined: the line ends of its PEM text"),
        (b"x" * (MAX_BUNDLE_TEXT + 1), "the CA file {} has 4194305 bytes, too many"),
    ],
)  # fmt: skip
def test_unusable_ca_files_are_told(
    tmp_path: Path, content: bytes | str | None, sentence: str
) -> None:
    """A CA file that is missing, no file, empty, ruined or huge refuses in one sentence."""
    path = tmp_path / "bundle.pem"
    if content == "folder":
        path.mkdir()
    elif content == "fifo":
        os.mkfifo(path)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(RecordingRefused) as refused:
        choose(tmp_path, with_options(profile(ONE), {CA_FILE: str(path)}))
    assert str(refused.value).startswith(sentence.format(path))
    assert refused.value.cause == "ca-file"


def test_a_path_that_is_none_is_told(tmp_path: Path) -> None:
    """A CA file's path with a zero byte is refused like any other that cannot be read."""
    with pytest.raises(RecordingRefused, match="is not a path") as refused:
        choose(tmp_path, with_options(profile(ONE), {CA_FILE: "/etc/ca\0.pem"}))
    assert refused.value.cause == "ca-file"


def test_the_profile_s_ca_file_counts_alone(tmp_path: Path) -> None:
    """The override replaces the platform's CA file: what only that one trusts is refused."""
    other = tmp_path / "other.pem"
    other.write_text(ROOT.pem)
    overriding = {CA_FILE: str(other), MINIMUM_BITS: "1024"}
    leaf = make("x", issuer=ROOT)
    made = with_options(profile(leaf.pem), overriding)
    mpc = MpcSettings(ca_file=str(ca_file(tmp_path)))
    assert choose_recipients(made, mpc, CaFiles(), THEN).encrypted
    with pytest.raises(RecordingRefused) as refused:
        choose(tmp_path, with_options(profile(ONE), overriding))
    assert refused.value.cause == "certificate-untrusted"


def test_ca_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    """A CA file put in place later counts without a restart."""
    path, files = tmp_path / "ca.pem", CaFiles()
    mpc = MpcSettings(ca_file=str(path))
    path.write_text("nothing yet")
    with pytest.raises(RecordingRefused):
        choose_recipients(profile(ONE), mpc, files, NOW)
    ca_file(tmp_path)
    assert choose_recipients(profile(ONE), mpc, files, NOW).encrypted

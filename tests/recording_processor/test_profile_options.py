"""Which options a profile may have: each known one by a table of what it takes and what not."""

from __future__ import annotations

import msgspec
import pytest

from recording_format.ivr_profile import IvrProfile
from recording_processor.errors import BadParameter
from recording_processor.profile_options import check_profile, notes
from recording_processor.provisioning import decode_profile
from tests.recording_format.authority import recorder
from tests.recording_processor.samples import Json, profile

PARAMETERS = "gvp.service-parameters"
MPC = "recordingclient.gvp.config.mpc."
BOOLEAN = (("true", "false", "TRUE", "yes", "0"), ("maybe", "2", "true,"))
URL = (
    ("http://store/x", "https://[::1]:8801/recordings", "http://store.example:80"),
    ("store/x", "ftp://store/x", "http://", "http://u:p@store/", "http://a b/", "http://x:99999/"),
)
PAIR = (("mcp:secret", "mcp:se:cret", "mcp:"), ("mcp",))
TABLE = {
    "recordingclient.recdest": URL,
    "recordingclient.recdest2": URL,
    "recordingclient.callrec_dest": URL,
    "recordingclient.rp.speechminer_uri": URL,
    "recordingclient.httpauthorization": PAIR,
    "recordingclient.httpauthorization2": PAIR,
    "recordingclient.callrec_authorization": PAIR,
    "recordingclient.rp.speechminer_auth": PAIR,
    "recordingclient.rp.anything": (("x", "a:b"), ()),
    "recordingclient.type": (("audio/wav", "audio/mp3"), ("audio/ogg", "mp3", "Audio/wav")),
    "recordingclient.AlertTone": (
        ("http://tones/beep.wav", "file:///tones/beep.wav", "tones/beep.wav"),
        ("http://u:p@tones/beep.wav", "gopher://tones/beep"),
    ),
    "recordingclient.filename": (("$id$", "$id$_$MCPDateTime$", "a-$ANI$"), ("$x$", "id", "$id$/")),
    "lab.unencrypted": BOOLEAN,
    "lab.skip-unusable": BOOLEAN,
    "lab.trust-self-signed": BOOLEAN,
    MPC + "mediamgr.CA_file": (("/etc/ca.pem", "c:\\keystore\\ca_cert.pem"), ()),
    MPC + "record.channels": (("stereo", "mono"), ("both",)),
    MPC + "recordingclient.filename": (("$id$",), ("$nothing$",)),
    MPC + "lab.cipher": (("aes-256-cbc", "aes-128-cbc"), ("des",)),
    MPC + "lab.minimum-key-bits": (("1024", "4096"), ("many", "12", "-2048", "20480", "2048.0")),
    MPC + "lab.allow-sha1": BOOLEAN,
}
GOOD = [(option, value) for option, (good, _) in TABLE.items() for value in good]
BAD = [(option, value) for option, (_, bad) in TABLE.items() for value in bad]


def made(section: str, options: Json) -> IvrProfile:
    """Read the sample profile with more options in a section. Raises `BadParameter`."""
    body = profile()
    body["sections"].setdefault(section, {}).update(options)
    return decode_profile(msgspec.json.encode(body), dbid=101)


@pytest.mark.parametrize("section", ["recording-certificates", PARAMETERS, "anything"])
def test_no_private_key_is_taken(section: str) -> None:
    """A certificate's file that holds its key too is refused, not kept; nothing of it is told."""
    text = "-----BEGIN RSA PRIVATE KEY-----\nhush\n-----END RSA PRIVATE KEY-----\n"
    with pytest.raises(BadParameter) as refused:
        made(section, {"certificates-1": recorder(1).pem + text})
    assert str(refused.value) == f"sections.{section}.certificates-1: it holds a private key"


@pytest.mark.parametrize(("option", "value"), GOOD)
def test_what_an_option_takes(option: str, value: str) -> None:
    """A good value is kept as it is written, and is no reason for a note."""
    found = made(PARAMETERS, {option: f"fixed,{value}"})
    assert found.option(PARAMETERS, option) == f"fixed,{value}"
    assert notes(found) == []


@pytest.mark.parametrize(("option", "value"), BAD)
def test_what_an_option_does_not_take(option: str, value: str) -> None:
    """A bad value is refused by the option's path, and never repeated where it may be secret."""
    with pytest.raises(BadParameter) as refused:
        made(PARAMETERS, {option: f"fixed,{value}"})
    assert str(refused.value).startswith(f"sections.{PARAMETERS}.{option}: ")
    assert "u:p@" not in str(refused.value)


@pytest.mark.parametrize("option", TABLE)
def test_every_known_option_needs_its_prefix(option: str) -> None:
    """Without `fixed,` the vendor's platform would not read it: it is refused here."""
    good = TABLE[option][0][0]
    for value in (good, f"Fixed,{good}", f"default,{good}"):
        with pytest.raises(BadParameter, match="it does not begin with fixed,"):
            made(PARAMETERS, {option: value})


@pytest.mark.parametrize("option", TABLE)
def test_a_control_character_is_no_value(option: str) -> None:
    """A line end in a value could become a header of its own: it is refused."""
    with pytest.raises(BadParameter, match="control character"):
        made(PARAMETERS, {option: "fixed,http://store/\r\nX: y"})


def test_an_option_without_a_value_is_none() -> None:
    """An empty value is as good as no option."""
    assert not made(PARAMETERS, {"recordingclient.recdest": "fixed,"}).storage


@pytest.mark.parametrize(
    ("section", "options", "path"),
    [
        ("recording-certificates", {"certificates-0": "x"}, "recording-certificates.certific"),
        ("recording-certificates", {"certificates-01": "x"}, "recording-certificates.certific"),
        ("recording-certificates", {"certificate-1": "x"}, "recording-certificates.certificate-1"),
        ("recording-certificates", {"certificates-1234567": "x"}, "recording-certificates.c"),
        ("gvp.general", {"service-type": "fixed,record"}, "gvp.general.service-type"),
        ("gvp.general", {"service-type": ""}, "gvp.general.service-type"),
        ("gvp.general", {"geo-location": "a\nb"}, "gvp.general.geo-location"),
        ("gvp.general", {"": "x"}, "gvp.general"),
        ("gvp.general", {" x": "x"}, "gvp.general. x"),
        ("a\nb", {}, "a\nb"),
        ("x", {"y" * 256: "x"}, "x.yyy"),
    ],
)
def test_names_that_cannot_be_are_refused(section: str, options: Json, path: str) -> None:
    """Certificates are numbered from 1 without zeros; names are plain; each by its path."""
    with pytest.raises(BadParameter) as refused:
        made(section, options)
    assert str(refused.value).startswith(f"sections.{path}")


def test_sections_are_bounded() -> None:
    """A profile has at most a thousand sections and options."""
    with pytest.raises(BadParameter, match="there are more than 1000 sections and options"):
        made("x", {f"o{number}": "" for number in range(1000)})


@pytest.mark.parametrize(
    ("section", "option", "value", "note"),
    [
        ("gvp.general", "service-type", "recrod", "it is no service type"),
        (PARAMETERS, "recordingclient.rcdest", "fixed,x", "it is unknown here"),
        (PARAMETERS, "recordingclient.alerttone", "fixed,x", "recordingclient.AlertTone is known"),
        (
            PARAMETERS,
            "recordingclient.gvp.config.sip.transport",
            "fixed,1",
            "it overrides an option",
        ),
        (PARAMETERS, MPC + "mediamgr.ca_file", "fixed,/x", "it overrides an option"),
    ],
)
def test_what_is_unknown_is_kept_and_noted(
    section: str, option: str, value: str, note: str
) -> None:
    """Options that this platform does not know stay, and are told by name."""
    found = made(section, {option: value})
    (told,) = notes(found)
    assert (told.section, told.option) == (section, option)
    assert note in told.note


def test_other_sections_are_kept_silently() -> None:
    """What other servers read from a profile is none of ours."""
    found = made("gvp.policy", {"usage-limit": "100"})
    assert found.option("gvp.policy", "usage-limit") == "100"
    found = made(PARAMETERS, {"voicexml.gvp.appmodule": "default,VXML-NG"})
    assert notes(found) == []


@pytest.mark.parametrize("name", ["", "  ", "x" * 256, "a\nb", "\u202ex"])
def test_a_name_is_printable(name: str) -> None:
    """A profile's name has characters that people can see."""
    found = made("x", {})
    with pytest.raises(BadParameter, match=r"^name: "):
        check_profile(msgspec.structs.replace(found, name=name))

"""For whom a recording is encrypted, and when it is refused."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from mcp_sim.config import MpcSettings
from mcp_sim.recipients import CaFiles, Recipients, RecordingRefused, choose_recipients
from recording_format.ivr_profile import IvrProfile
from tests.mcp_sim.front.pki import NOW, ca_file, profile, recording_pair

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


def test_ca_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    """A CA file put in place later counts without a restart."""
    path, files = tmp_path / "ca.pem", CaFiles()
    mpc = MpcSettings(ca_file=str(path))
    path.write_text("nothing yet")
    with pytest.raises(RecordingRefused):
        choose_recipients(profile(ONE), mpc, files, NOW)
    ca_file(tmp_path)
    assert choose_recipients(profile(ONE), mpc, files, NOW).encrypted

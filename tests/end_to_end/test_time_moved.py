"""A lab whose clock is moved: what a certificate's dates forbid, and what they never forbid.

The whole lab runs under libfaketime, which reads the shift from a file at each look at the clock;
timers keep real time. One start of the programs serves for every day that is tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.end_to_end.administrator import Administrator, Desk, JsonDict
from tests.end_to_end.lab_under_test import lab_up, run
from tests.peers import peer

PROFILE = 301
TODAY, DAY_BEFORE, DAY_AFTER = "+0d", "-1d", "+31d"


class MovedClock(NamedTuple):
    """A lab, and the file that holds how far its clock is moved."""

    administrator: Administrator
    desk: Desk
    shift: Path

    def move(self, shift: str) -> None:
        """Move the lab's clock; today is ``+0d``."""
        self.shift.write_text(f"{shift}\n")


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MovedClock]:
    """One lab for the module, with the clock of today."""
    folder = tmp_path_factory.mktemp("clock")
    shift = folder / "shift"
    shift.write_text(f"{TODAY}\n")
    library = run(peer("faketime"), "-m", "-f", TODAY, "printenv", "LD_PRELOAD").decode().strip()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("LD_PRELOAD", library)
        environment.setenv("FAKETIME_TIMESTAMP_FILE", str(shift))
        environment.setenv("FAKETIME_NO_CACHE", "1")
        environment.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        with lab_up(folder / "lab") as lab:
            environment.undo()  # the administrator's own programs have the real time
            yield MovedClock(Administrator(lab), Desk(folder / "desk", lab), shift)


@pytest.fixture
def today(clock: MovedClock) -> Iterator[MovedClock]:
    """The lab with the clock of today, whatever a test does to it."""
    yield clock
    clock.move(TODAY)


def self_signed(desk: Desk, ca_file: Path, name: str) -> tuple[str, str]:
    """A certificate for the 30 days from now and its key; it is trusted from now on."""
    desk.types(f"openssl genrsa -out {name}.key 2048")
    desk.types(
        f"openssl req -new -x509 -key {name}.key -out {name}.pem -days 30"
        f' -subj "/CN={name}/C=US/ST=California/O=Example"'
    )
    desk.types(f"cat {name}.pem >> {ca_file}")
    return desk.text(f"{name}.pem"), desk.text(f"{name}.key")


def shown(administrator: Administrator, certificate_id: str) -> JsonDict:
    """What the administration shows of a certificate."""
    url = f"{administrator.crypto}/lab/certificates/{certificate_id}"
    found: JsonDict = administrator.ask("GET", url)["certificate"]
    return found


@pytest.mark.peer
@pytest.mark.slow
def test_use_and_playback(today: MovedClock) -> None:
    """Used on the day before or after: refused before the first packet; what is there plays."""
    administrator, desk, _ = today
    ca_file = Path(administrator.lab.lab["ca_file"])
    certificate, key = self_signed(desk, ca_file, "Used")
    certificate_id = administrator.upload(certificate, key)["id"]
    administrator.profile(PROFILE, [], ca_file)
    administrator.deploy(certificate_id, PROFILE)
    recording = administrator.call(PROFILE)
    sound = administrator.play(recording)
    count = len(administrator.lab.recordings())

    today.move(DAY_BEFORE)
    assert "is not valid before" in administrator.refusal(PROFILE)
    assert administrator.play(recording) == sound
    assert shown(administrator, certificate_id)["status"] == "not-yet-valid"

    today.move(DAY_AFTER)
    assert "expired on" in administrator.refusal(PROFILE)
    assert administrator.play(recording) == sound
    assert shown(administrator, certificate_id)["status"] == "expired"
    assert len(administrator.lab.recordings()) == count, "a refused call leaves no recording"


@pytest.mark.peer
@pytest.mark.slow
def test_upload(today: MovedClock) -> None:
    """Not yet valid may be uploaded; expired only as an old key, which is deployed nowhere."""
    administrator, desk, _ = today
    ca_file = Path(administrator.lab.lab["ca_file"])
    certificate, key = self_signed(desk, ca_file, "Early")
    today.move(DAY_BEFORE)
    early = administrator.upload(certificate, key)
    assert early["status"] == "not-yet-valid"
    today.move(TODAY)
    assert shown(administrator, early["id"])["status"] == "valid"

    certificate, key = self_signed(desk, ca_file, "Late")
    today.move(DAY_AFTER)
    url = f"{administrator.crypto}/lab/certificates"
    said = {"tenant": "Environment", "certificate": certificate, "key": key}
    status, answer = administrator.answer("POST", url, said)
    assert (status, answer["statusCode"]) == (400, 2)
    assert "expired on" in answer["statusMessage"]
    late = administrator.upload(certificate, key, acceptExpired=True)
    assert late["status"] == "expired"
    deployments = f"{url}/{late['id']}/deployments"
    profile = administrator.lab.lab["profile_dbid"]
    status, answer = administrator.answer("POST", deployments, {"profile": profile})
    assert (status, answer["statusCode"]) == (409, 2)
    assert "expired on" in answer["statusMessage"]

"""Both parties on their own channels, and in time with each other, whichever way they came."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.end_to_end.lab_under_test import LabUnderTest, samples
from tests.end_to_end.phone import Phone, sdp, speak

CUSTOMER, AGENT = 1000.0, 500.0
LATER = 0.3
UUID = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"

METADATA = """<?xml version="1.0" encoding="UTF-8"?>
<recording xmlns="urn:ietf:params:xml:ns:recording:1">
<datamode>complete</datamode>
<session session_id="s1"/>
<participant participant_id="agent"><nameID aor="sip:agent7@pbx.example"/></participant>
<participant participant_id="customer"><nameID aor="tel:+16175550101"/></participant>
<stream stream_id="m1" session_id="s1"><label>96</label></stream>
<stream stream_id="m2" session_id="s1"><label>97</label></stream>
<participantstreamassoc participant_id="agent">
<send>m1</send><recv>m2</recv></participantstreamassoc>
<participantstreamassoc participant_id="customer">
<send>m2</send><recv>m1</recv></participantstreamassoc>
</recording>
"""


def loudest(channel: npt.NDArray[np.int16]) -> float:
    """The strongest frequency of a channel, in Hz."""
    spectrum = np.abs(np.fft.rfft(channel.astype(float)))
    return float(np.argmax(spectrum) * 8000 / len(channel))


def onset(channel: npt.NDArray[np.int16]) -> float:
    """When a channel begins to sound, in seconds."""
    return float(np.flatnonzero(np.abs(channel.astype(int)) > 2000)[0]) / 8000


def assert_placed(lab: LabUnderTest, scratch: Path) -> None:
    """The customer is left, the agent right, and the customer began `LATER`, right to 20 ms."""
    [recording] = lab.wait_for_recordings(1)
    [media] = recording["mediaFiles"]
    left, right = samples(lab.opened(media, scratch))
    assert loudest(left) == pytest.approx(CUSTOMER, abs=5)
    assert loudest(right) == pytest.approx(AGENT, abs=5)
    assert onset(left) - onset(right) == pytest.approx(LATER, abs=0.02)


@pytest.mark.peer
@pytest.mark.slow
def test_siprec(lab: LabUnderTest, tmp_path: Path) -> None:
    """One INVITE with two streams, the agent's first: who is heard follows the metadata."""
    body = (
        "--boundary1\r\nContent-Type: application/sdp\r\n\r\n"
        f"{sdp('96', '97')}\r\n"
        "--boundary1\r\nContent-Type: application/rs-metadata+xml\r\n"
        f"Content-Disposition: recording-session\r\n\r\n{METADATA}\r\n--boundary1--\r\n"
    )
    phone = Phone(lab.sip)
    status, answer = phone.invite(
        body, "Require: siprec", content_type="multipart/mixed;boundary=boundary1"
    )
    assert status == 200
    assert "+sip.srs" in answer
    assert answer.count("a=recvonly") == 2
    agent, customer = phone.ports
    speak([(agent, AGENT, 0.0), (customer, CUSTOMER, LATER)], 3.0)
    assert phone.bye() == 200
    assert_placed(lab, tmp_path)
    [recording] = lab.recordings()
    assert recording["callerPhoneNumber"] == "+16175550101"
    assert recording["dialedPhoneNumber"] == "agent7"


@pytest.mark.peer
@pytest.mark.slow
def test_gir(lab: LabUnderTest, tmp_path: Path) -> None:
    """Two INVITEs with one conference: one recording, the recorded dn on the right."""
    phones = []
    for dn in ("7001", "5551234"):
        uri = f"sip:msml=conf42@{lab.sip};dn={dn};record;tenant-dbid=1;media-service=record"
        phone = Phone(lab.sip, uri + ";recorddn=7001;ani=+16175550101")
        status, _ = phone.invite(
            sdp("", direction="sendrecv"),
            f"X-Genesys-CallUUID: {UUID}",
            f"X-Genesys-RM-Application-dbid: {lab.lab['profile_dbid']}",
        )
        assert status == 200
        phones.append(phone)
    agent, customer = phones
    speak([(agent.ports[0], AGENT, 0.0), (customer.ports[0], CUSTOMER, LATER)], 3.0)
    assert agent.bye() == 200
    assert customer.bye() == 200
    assert_placed(lab, tmp_path)
    [recording] = lab.recordings()
    assert recording["id"] == UUID
    assert recording["mediaFiles"][0]["parameters"]["recordDN"] == "7001"


@pytest.mark.slow
@pytest.mark.parametrize("signalling", ["siprec", "gir", "plain"])
@pytest.mark.parametrize("lab_options", [["--type", "mp3"], ["--channels", "mono"]], ids=str)
def test_load_is_verified(lab_with: LabUnderTest, signalling: str) -> None:
    """What the generator sent is what was stored: signatures, offset, duration, no swap."""
    lab = lab_with
    lab.load(
        "--calls", 4, "--rate", 4, "--hold", 3, "--signalling", signalling, "--codec", "pcmu"
    )  # fmt: skip
    lab.wait_for_recordings(4)
    verified = lab.reclab("verify", "--all", "--json", "--through", "crypto")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    verdicts = json.loads(verified.stdout)
    assert len(verdicts) == 4
    for verdict in verdicts:
        assert verdict["verified"]
        assert not verdict["swap"]
        assert verdict["offset_ms"] is None or abs(verdict["offset_ms"]) <= 20

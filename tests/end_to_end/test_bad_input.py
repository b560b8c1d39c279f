"""Bad input gets one clear sentence and the right status; nothing is lost, nothing leaks."""

from __future__ import annotations

import json
import re
import secrets
import socket
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from reclab.pki import new_authority, new_recording_certificate, utc_now
from tests.end_to_end.lab_under_test import RECLAB, LabUnderTest, lab_up, wait_until
from tests.end_to_end.phone import Phone, sdp

OFFER_G729 = sdp("").replace("RTP/AVP 8", "RTP/AVP 18")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabUnderTest]:
    """One lab for all of these: none of them leaves anything behind that another could see."""
    with lab_up(tmp_path_factory.mktemp("bad") / "lab") as running:
        yield running


def refused(lab: LabUnderTest) -> list[dict[str, Any]]:
    status, body = lab.get(f"{lab.lab['control']}/calls/refused", "operator")
    assert status == 200
    found: list[dict[str, Any]] = json.loads(body)["refused"]
    return found


def log_of(lab: LabUnderTest, service: str) -> str:
    return (lab.folder / "log" / f"{service}.log").read_text()


MALFORMED = [
    b"\x00\xff\xfe not sip at all",
    b"INVITE sip:a@b SIP/2.0\r\n\r\n",
    (
        b"INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKx\r\n"
        b"CSeq: many INVITE\r\n\r\n"
    ),
    b"INVITE sip:a@b SIP/2.0\r\n" + b"X-Long: " + b"a" * 20000 + b"\r\n\r\n",
    b"SIP/2.0 200 OK\r\n\r\n",
    b"INVITE sip:a@b SIP/9.9\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKy\r\n\r\n",
]


@pytest.mark.parametrize("message", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_sip(lab: LabUnderTest, message: bytes) -> None:
    """What is no SIP gets a 4xx, 5xx or silence, never a traceback, and service goes on."""
    host, _, port = lab.sip.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((host, int(port)))
        sock.settimeout(10)
        sock.send(message)
        mark = secrets.token_hex(8)
        options = (
            f"OPTIONS sip:{lab.sip} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{sock.getsockname()[1]};"
            f"branch=z9hG4bK{mark}\r\nMax-Forwards: 70\r\n"
            "From: <sip:t@t>;tag=1\r\nTo: <sip:r@r>\r\n"
            f"Call-ID: {mark}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        )
        sock.send(options.encode())
        answers = [sock.recv(65536).decode()]
        while mark not in answers[-1]:
            answers.append(sock.recv(65536).decode())
    assert answers.pop().startswith("SIP/2.0 200 ")
    assert all(re.match(r"SIP/2\.0 [45]\d\d ", answer) for answer in answers)
    assert "Traceback" not in log_of(lab, "mcp")


def test_no_common_codec(lab: LabUnderTest) -> None:
    """An offer of G.729 only: 488."""
    assert Phone(lab.sip).refused(OFFER_G729)[0] == 488


def test_unknown_profile(lab: LabUnderTest) -> None:
    """A DBID that no profile has: 404 with a Reason, which the control API tells too."""
    status, answer = Phone(lab.sip).refused(sdp(""), "X-Genesys-RM-Application-dbid: 999")
    assert status == 404
    assert re.search(r'^Reason: SIP;cause=404;text=".*999.*"', answer, re.MULTILINE)
    assert refused(lab)[0]["cause"] == "profile"


def test_unusable_certificate(lab: LabUnderTest) -> None:
    """A profile with an expired certificate: refused within a second of the change, and told."""
    then = utc_now() - timedelta(days=1000)
    expired = new_recording_certificate("Old", new_authority("Old CA", then), then)
    profile = {
        "name": "expired",
        "tenant": {"name": "Environment", "dbid": 1},
        "sections": {
            "gvp.service-parameters": {"recordingclient.recdest": f"fixed,{lab.lab['store']}"},
            "recording-certificates": {"certificates-1": expired.certificate_pem},
        },
    }
    url = f"{lab.lab['processor']}/lab/profiles/777"
    status, body = lab.request("PUT", url, "admin", json.dumps(profile).encode())
    assert status in (200, 201), body

    def answer() -> tuple[int, str]:
        return Phone(lab.sip).refused(sdp(""), "X-Genesys-RM-Application-dbid: 777")

    # Until the platform has heard of the profile it is unknown: 404.
    wait_until(lambda: answer()[0] == 403, "the profile's arrival", seconds=1)
    assert "expired" in answer()[1] or "not issued" in answer()[1]
    metrics = lab.get(f"{lab.lab['control']}/metrics", None)[1].decode()
    assert re.search(
        r'reclab_mcp_calls_refused_total\{cause="certificate-(expired|untrusted)"\}', metrics
    )
    assert lab.recordings() == []


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"{", ""),
        (b"{}", "mediaFiles"),
        (b'{"mediaFiles":[{}]}', "mediaFiles[0]."),
    ],
)
def test_incomplete_metadata(lab: LabUnderTest, body: bytes, path: str) -> None:
    """Metadata with missing fields: 400 naming the field by its path, and nothing is stored."""
    url = f"{lab.lab['processor']}/api/contact-centers/{lab.lab['domain']}/recordings"
    status, answer = lab.request("POST", url, "mcp", body)
    assert status == 400
    said = json.loads(answer)
    assert said["statusCode"] == 2
    assert path in said["statusMessage"]
    assert lab.recordings() == []


@pytest.mark.parametrize(
    ("path", "role", "status", "code"),
    [
        ("/api/v2/recordings/UNKNOWN", "operator", 404, 6),
        ("/api/v2/recordings", "operator", 400, 2),
        ("/api/v2/recordings?colour=red", "operator", 400, 2),
        ("/api/v2/recordings?startTime=2000-01-01T00:00:00Z", "listener", 403, 5),
        ("/api/v2/recordings?startTime=2000-01-01T00:00:00Z", None, 401, 3),
    ],
)
def test_processor_refuses(
    lab: LabUnderTest, path: str, role: str | None, status: int, code: int
) -> None:
    """Unknown recordings, empty searches and missing rights get the vendor's codes."""
    answered, body = lab.get(lab.lab["processor"] + path, role)
    assert (answered, json.loads(body)["statusCode"]) == (status, code)


def test_wrong_password(lab: LabUnderTest) -> None:
    """A wrong password is 401 at every door."""
    right = lab.lab["users"]["operator"]["password"]
    lab.lab["users"]["operator"]["password"] = "wrong"
    try:
        for door in ("store", "processor", "crypto", "control"):
            path = {"store": "/", "control": "/calls"}.get(door, "/rcs/recordings/x/play/y.wav.bin")
            assert lab.get(lab.lab[door] + path, "operator")[0] == 401
    finally:
        lab.lab["users"]["operator"]["password"] = right


@pytest.mark.slow
def test_damaged_object_is_never_played(lab_with: LabUnderTest) -> None:
    """One flipped bit in the store: the crypto server answers an error, verify says which."""
    lab = lab_with
    lab.load("--calls", 1, "--rate", 1, "--hold", 2, "--signalling", "plain", "--codec", "pcma")
    [recording] = lab.wait_for_recordings(1)
    [media] = recording["mediaFiles"]
    [stored] = (lab.folder / "store").rglob("*.bin")
    content = bytearray(stored.read_bytes())
    content[len(content) // 2] ^= 1
    stored.write_bytes(content)
    status, body = lab.get(f"{lab.lab['crypto']}/rcs{media['mediaPath']}", "listener")
    assert (status, json.loads(body)["statusCode"]) == (500, 4)
    verified = lab.reclab("verify", recording["id"])
    assert verified.returncode == 1
    assert recording["id"] in verified.stdout
    exported = lab.reclab("export", recording["id"], "--out", lab.folder / "x.bin")
    assert exported.returncode == 2
    assert "differs" in exported.stderr
    assert not (lab.folder / "x.bin").exists()


def reclab(*arguments: object) -> tuple[int, str]:
    command = [*RECLAB, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr


def assert_one_sentence(result: tuple[int, str], *words: str) -> None:
    code, said = result
    assert code == 2
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) == 1, said
    assert all(word in said for word in words), said


def test_unknown_ids(lab: LabUnderTest) -> None:
    """`verify` and `export` name the recording that they do not find."""
    folder = lab.folder
    assert_one_sentence(reclab("verify", "NOBODY", "--data", folder), "NOBODY")
    assert_one_sentence(
        reclab("export", "NOBODY", "--out", folder / "x", "--data", folder), "NOBODY"
    )


def test_no_lab_there(tmp_path: Path) -> None:
    """Commands on a folder without a lab say how to start one."""
    assert_one_sentence(reclab("verify", "--all", "--data", tmp_path), "lab.json", "reclab up")


def test_port_in_use(tmp_path: Path) -> None:
    """`reclab up` on taken ports: one sentence with the address, and nothing is left running."""
    with lab_up(tmp_path / "one") as first:
        plan = json.loads((first.folder / "lab-plan.json").read_text())
        other = tmp_path / "two"
        other.mkdir(mode=0o700)
        (other / "lab-plan.json").write_text(json.dumps(plan))
        assert_one_sentence(reclab("up", "--data", other), first.sip, "in use")


def test_folder_cannot_be_made() -> None:
    """`reclab up` in a folder that cannot be: one sentence with its name."""
    assert_one_sentence(reclab("up", "--ephemeral", "--data", "/dev/null/lab"), "/dev/null/lab")


@pytest.mark.parametrize(
    ("service", "module"),
    [("store", "webdav_store"), ("processor", "recording_processor"), ("crypto", "crypto_server"),
     ("mcp", "mcp_sim")],
)  # fmt: skip
def test_unknown_setting(lab: LabUnderTest, tmp_path: Path, service: str, module: str) -> None:
    """An unknown setting stops a service with exit code 2, naming the setting."""
    config = tmp_path / "settings.toml"
    config.write_text("colour = 1\n" + (lab.folder / "etc" / f"{service}.toml").read_text())
    command = [RECLAB[0], "-m", module, "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert_one_sentence((done.returncode, done.stderr), "`colour`", "unknown setting")

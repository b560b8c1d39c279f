"""A whole lab under TLS: every door by other programs, every command, and bad clients."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.end_to_end.administrator import Desk
from tests.end_to_end.lab_under_test import LabUnderTest, lab_up, samples
from tests.peers import peer

DOORS = ("control", "store", "processor", "crypto", "sip_tls")
HALF_OPEN = 60


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabUnderTest]:
    """One lab for all of these tests."""
    with lab_up(tmp_path_factory.mktemp("tls") / "lab", "--tls", "--faults") as running:
        yield running


def address(lab: LabUnderTest, door: str) -> tuple[str, int]:
    """Host and port of a door."""
    named = lab.lab[door]
    parts = urlsplit(named if "//" in named else f"//{named}")
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def log_of(lab: LabUnderTest) -> str:
    """All that the services logged."""
    return "".join(file.read_text() for file in sorted((lab.folder / "log").glob("*.log")))


@pytest.mark.peer
@pytest.mark.slow
@pytest.mark.parametrize("door", DOORS)
def test_openssl_proves_each_door(lab: LabUnderTest, door: str) -> None:
    """Each door shows a certificate of the lab's CA for its address; TLS 1.1 is not spoken."""
    host, port = address(lab, door)
    command = [
        str(peer("openssl")), "s_client", "-connect", f"{host}:{port}", "-verify_ip", host,
        "-CAfile", lab.lab["services_ca"], "-verify_return_error",
    ]  # fmt: skip
    for version, works in (("-tls1_3", True), ("-tls1_2", True), ("-tls1_1", False)):
        done = subprocess.run(
            [*command, version], stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        assert (done.returncode == 0) == works, (version, done.stderr)
        assert (b"Verify return code: 0 (ok)" in done.stdout and b"Cipher is (NONE)" not in
                done.stdout) == works  # fmt: skip


@pytest.mark.peer
@pytest.mark.slow
@pytest.mark.parametrize("door", DOORS[:4])
def test_curl_and_plain_http(lab: LabUnderTest, door: str) -> None:
    """curl gets an answer with the CA, none without it, and none at all by plain HTTP."""
    host, port = address(lab, door)
    url = f"https://{host}:{port}/{'-/' if door == 'store' else ''}livez"
    curl = [str(peer("curl")), "-sS", "-o", "/dev/null", "-D", "-"]
    for arguments, code in (
        (["--cacert", lab.lab["services_ca"], url], 0),
        ([url], 60),
        ([url.replace("https:", "http:")], 52),
    ):
        done = subprocess.run([*curl, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        assert ("strict-transport-security: max-age=" in done.stdout.lower()) == (code == 0)
    assert "Traceback" not in log_of(lab)


@pytest.mark.peer
@pytest.mark.slow
def test_a_call_is_recorded_found_and_opened(lab: LabUnderTest, tmp_path: Path) -> None:
    """Over SIP and TLS into the store; then verified, played, exported, decrypted, re-wrapped."""
    desk, at = Desk(tmp_path, lab), lab.lab["sip_tls"]
    by_tls = f"reclab load --target {at} --transport tls --ca {lab.lab['services_ca']}"
    desk.types(f"{by_tls} --calls 2 --hold 1 --signalling gir --report sent.json")
    assert json.loads(desk.text("sent.json"))["transport"] == "tls"
    desk.types("reclab verify --report sent.json --through crypto")
    recording = lab.wait_for_recordings(2)[0]
    [media] = recording["mediaFiles"]
    assert media["originalMediaDescriptor"]["path"].startswith(lab.lab["store"])
    assert samples(lab.opened(media, tmp_path)).any()
    key = next(iter(lab.lab["keys"].values()))
    desk.types(f"reclab export {recording['id']} --out call.bin")
    desk.types(f"reclab decrypt call.bin --key {key} --out call.wav")
    assert samples((tmp_path / "call.wav").read_bytes()).any()
    desk.types("reclab cert new --out new && reclab cert upload new && reclab keystore list")
    added = desk.types(f"reclab rewrap {recording['id']} --add new/cert.pem")
    assert "Changed 1 recording" in added
    desk.types("reclab keystore backup --out backup --backup-password-file <(echo a-good-password)")


@pytest.mark.slow
def test_recovery_and_faults_go_over_tls(lab: LabUnderTest) -> None:
    """`reclab recover` and `reclab faults` believe the lab's services, as all commands do."""
    recovered = lab.reclab("recover", "--dry-run")
    assert recovered.returncode == 0, recovered.stdout + recovered.stderr
    shown = lab.reclab("faults", "show")
    assert shown.returncode == 0, shown.stdout + shown.stderr


@pytest.mark.slow
def test_clients_that_do_not_finish(lab: LabUnderTest) -> None:
    """Sixty unfinished handshakes at each door: every service answers, and logs no fault."""
    held = []
    try:
        for door in DOORS:
            for number in range(HALF_OPEN):
                held.append(socket.create_connection(address(lab, door), timeout=10))
                held[-1].sendall(b"\x16\x03\x01\x02" * (number % 2))
        for door in DOORS[:4]:
            host, port = address(lab, door)
            path = "-/livez" if door == "store" else "livez"
            assert lab.get(f"https://{host}:{port}/{path}", None)[0] == 200
    finally:
        for sock in held:
            sock.close()
    assert "Traceback" not in log_of(lab)
    assert "[error" not in log_of(lab)


@pytest.mark.slow
def test_secrets_of_tls_are_private(lab: LabUnderTest) -> None:
    """Keys and certificates are for their owner only, and no log holds a key."""
    files = [*(lab.folder / "tls").iterdir(), *lab.folder.glob("services-ca.pem")]
    files.append(lab.folder / "keys" / "services-ca.key.pem")
    assert len(files) == 12
    for file in files:
        assert file.stat().st_mode & 0o777 == 0o600, file
    assert "PRIVATE KEY" not in log_of(lab)

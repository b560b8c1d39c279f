"""The life of a recording certificate on a running lab: deployed, used, shown, missed, deleted."""

from __future__ import annotations

import base64
import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from service_shell.accounts import basic_header
from tests.end_to_end.administrator import Administrator, Desk, JsonDict, RunningCall
from tests.end_to_end.lab_under_test import (
    LabUnderTest,
    children_of,
    command_of,
    kill_now,
    lab_up,
    wait_until,
)
from tests.end_to_end.phone import speak
from tests.peers import peer

pytestmark = [pytest.mark.peer, pytest.mark.slow]


class KeyPair(NamedTuple):
    """A certificate that the lab has in its keystore: its id and alias, and where its key lies."""

    id: str
    alias: str
    key: Path


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabUnderTest]:
    """One lab for the module; each test has a profile of its own."""
    peer("openssl")
    with lab_up(tmp_path_factory.mktemp("life") / "lab") as running:
        yield running


@pytest.fixture
def administrator(lab: LabUnderTest) -> Administrator:
    """The administrator of the module's lab."""
    return Administrator(lab)


@pytest.fixture
def desk(lab: LabUnderTest, tmp_path: Path) -> Desk:
    """An empty folder beside the module's lab."""
    return Desk(tmp_path / "desk", lab)


def new_pair(administrator: Administrator, desk: Desk, name: str, days: int = 365) -> KeyPair:
    """Make a self-signed certificate, trust it and upload it with its key."""
    desk.types(
        f"openssl req -x509 -nodes -newkey rsa:2048 -keyout {name}.key -out {name}.pem"
        f' -days {days} -subj "/CN={name}/C=US/O=Example"'
    )
    desk.types(f"cat {name}.pem >> {administrator.lab.lab['ca_file']}")
    shown = administrator.upload(desk.text(f"{name}.pem"), desk.text(f"{name}.key"))
    return KeyPair(shown["id"], shown["alias"], desk / f"{name}.key")


def aliases(recording: JsonDict) -> list[str]:
    """For whom a recording's only media file is encrypted."""
    found: list[str] = recording["mediaFiles"][0]["certAlias"]
    return found


def shown(administrator: Administrator, pair: KeyPair) -> JsonDict:
    """What the list of certificates shows of a pair."""
    listed = administrator.ask("GET", f"{administrator.crypto}/lab/certificates")["certificates"]
    [row] = [each for each in listed if each["id"] == pair.id]
    found: JsonDict = row
    return found


def test_renewal_while_a_call_runs(
    administrator: Administrator, desk: Desk, tmp_path: Path
) -> None:
    """Old, both, new: each call keeps what it began with, and every recording still plays."""
    old = new_pair(administrator, desk, "Old")
    administrator.profile(501, [])
    assert administrator.deploy(old.id, 501)["option"] == "certificates-1"
    under_old = RunningCall(administrator.lab, 501)
    speak([(under_old.port, 440.0, 0.0)], 0.2)

    new = new_pair(administrator, desk, "New")
    assert administrator.deploy(new.id, 501)["option"] == "certificates-2"
    under_both = RunningCall(administrator.lab, 501)
    administrator.undeploy(old.id, 501)
    under_new = RunningCall(administrator.lab, 501)
    calls = (under_old, under_both, under_new)
    speak([(call.port, 440.0, 0.0) for call in calls], 0.4)
    recordings = [call.end() for call in calls]

    assert [aliases(each) for each in recordings] == [
        [old.alias],
        [old.alias, new.alias],
        [new.alias],
    ]
    assert shown(administrator, old)["deployedCount"] == 0
    assert shown(administrator, new)["deployedTo"][0]["dbid"] == 501
    for recording, pairs in zip(recordings, ([old], [old, new], [new]), strict=True):
        [media] = recording["mediaFiles"]
        sound = administrator.play(recording)
        assert all(administrator.lab.opened(media, tmp_path, pair.key) == sound for pair in pairs)


def test_delete_is_refused(administrator: Administrator, desk: Desk) -> None:
    """Not while deployed, not while two recordings need it; by force it goes, and can come back."""
    pair = new_pair(administrator, desk, "Needed")
    administrator.profile(502, [])
    administrator.deploy(pair.id, 502)
    recordings = [administrator.call(502), administrator.call(502)]
    url = f"{administrator.crypto}/lab/certificates/{pair.id}?tenant=Environment"
    status, answer = administrator.answer("DELETE", url)
    assert (status, answer["recordings"]) == (409, 2)
    assert [profile["dbid"] for profile in answer["deployedTo"]] == [502]

    warned = administrator.undeploy(pair.id, 502)
    assert "record" in warned["warning"]
    assert "has no certificates" in administrator.refusal(502)
    status, answer = administrator.answer("DELETE", url)
    assert (status, answer["recordings"], answer["deployedTo"]) == (409, 2, [])
    assert "2 recordings could never be played again" in answer["statusMessage"]
    assert administrator.play(recordings[0])

    administrator.ask("DELETE", f"{url}&force=true")
    status, said = administrator.played(recordings[0])
    assert status == 409, "the key is missing"
    assert "no key in the keystore" in json.loads(said)["statusMessage"]
    administrator.upload(desk.text("Needed.pem"), desk.text("Needed.key"))
    assert all(administrator.play(recording) for recording in recordings)


def test_expiring(administrator: Administrator, desk: Desk) -> None:
    """What ends within the asked days is listed, soonest first, with the days that are left."""
    later = new_pair(administrator, desk, "Later", days=20)
    sooner = new_pair(administrator, desk, "Sooner", days=9)
    url = f"{administrator.crypto}/lab/certificates/expiring"

    def listed(days: int) -> list[tuple[str, int]]:
        rows = administrator.ask("GET", f"{url}?days={days}")["certificates"]
        return [(row["id"], row["daysLeft"]) for row in rows]

    assert listed(30) == [(sooner.id, 8), (later.id, 19)]
    assert listed(10) == [(sooner.id, 8)]
    assert listed(5) == []
    metrics = administrator.lab.get(f"{administrator.crypto}/metrics", None)[1].decode()
    assert "\nreclab_crypto_certificates_expiring 2.0\n" in metrics
    assert metrics.count("\nreclab_crypto_certificate_expiry_seconds{") >= 4


def test_rewrap(administrator: Administrator, desk: Desk, tmp_path: Path) -> None:
    """A stored recording gets another recipient and loses the old one; its bytes stay."""
    old, new = (new_pair(administrator, desk, name) for name in ("Before", "After"))
    administrator.profile(503, [desk.text("Before.pem")])
    recording = administrator.call(503)
    [media] = recording["mediaFiles"]
    sound = administrator.play(recording)
    stored = administrator.lab.stored(media)
    url = f"{administrator.crypto}/lab/recordings/{recording['id']}/rewrap"
    administrator.ask("POST", url, {"add": [new.id], "remove": [old.id]})

    found = administrator.lab.get(
        f"{administrator.processor}/api/v2/recordings/{recording['id']}", "operator"
    )[1]
    changed = json.loads(found)["recording"]
    assert aliases(changed) == [new.alias]
    [after] = changed["mediaFiles"]
    assert administrator.lab.stored(after) == stored
    assert administrator.lab.opened(after, tmp_path, new.key) == sound
    assert not opens(administrator, after, tmp_path, old.key, sound)
    assert after["lab"] == media["lab"], "digests and mac are as they were"
    url = f"{administrator.crypto}/lab/certificates/{old.id}?tenant=Environment"
    administrator.undeploy(old.id, 503)
    administrator.ask("DELETE", url)
    assert administrator.play(changed) == sound


def opens(
    administrator: Administrator, media: JsonDict, scratch: Path, key: Path, sound: bytes
) -> bool:
    """Whether OpenSSL gets the sound with this key; a wrong one sometimes gets rubbish."""
    try:
        return administrator.lab.opened(media, scratch, key) == sound
    except AssertionError:
        return False


def crypto_server(lab: LabUnderTest) -> list[int]:
    """The crypto server's process."""
    return [pid for pid in children_of(lab.process.pid) if "crypto_server" in command_of(pid)]


def with_cookie(url: str, cookie: str) -> tuple[int, JsonDict]:
    """GET `url` with a session's cookie and no password."""
    request = urllib.request.Request(url, headers={"Cookie": cookie})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def signed_in(lab: LabUnderTest) -> str:
    """The cookie of a new session of the administrator."""
    user = lab.lab["users"]["admin"]
    request = urllib.request.Request(
        f"{lab.lab['crypto']}/lab/session",
        method="POST",
        data=b"",
        headers={"Authorization": basic_header(user["name"], user["password"])},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    return str(cookie.partition(";")[0])


def test_session_after_a_restart(lab: LabUnderTest) -> None:
    """A signed-in administrator is answered 401 "RCS is not available" until the next sign-in."""
    url = f"{lab.lab['crypto']}/lab/certificates"
    cookie = signed_in(lab)
    assert with_cookie(url, cookie)[0] == 200
    before = crypto_server(lab)
    kill_now(before)
    wait_until(lambda: crypto_server(lab) not in ([], before), "the restart")
    status, answer = with_cookie(url, cookie)
    assert (status, answer["statusCode"], answer["statusMessage"]) == (
        401,
        3,
        "RCS is not available",
    )
    assert with_cookie(url, signed_in(lab))[0] == 200


def test_keystore_is_lost_and_restored(lab: LabUnderTest, administrator: Administrator) -> None:
    """Backup, a destroyed keystore, restore: nothing plays in between, everything afterwards."""
    recording = administrator.call(lab.lab["profile_dbid"])
    sound = administrator.play(recording)
    url, password = f"{administrator.crypto}/lab/keystore", "a long sentence for the safe"
    said = json.dumps({"password": password}).encode()
    status, backup = lab.request("POST", f"{url}/backup", "admin", said)
    assert status == 200
    assert b"PRIVATE KEY" not in backup
    folder = lab.folder / "keystore"
    names = {entry.name for entry in folder.rglob("*.p12")}
    shutil.rmtree(folder / "Environment")
    assert administrator.played(recording)[0] == 409

    restore = {"data": base64.b64encode(backup).decode(), "password": "a wrong sentence"}
    status, answer = administrator.answer("POST", f"{url}/restore", restore)
    assert status in (400, 409), answer
    assert administrator.played(recording)[0] == 409
    administrator.ask("POST", f"{url}/restore", {**restore, "password": password})
    assert administrator.play(recording) == sound
    assert {entry.name for entry in folder.rglob("*.p12")} == names

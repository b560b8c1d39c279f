"""Two tenants in one lab of real processes: nobody hears or changes the other's recordings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.end_to_end.lab_under_test import wait_until
from tests.end_to_end.two_tenants_lab import CCID, TwoTenantsLab, tenant_key, two_tenants_lab

RANGES = [{}, {"Range": "bytes=0-"}, {"Range": "bytes=1048576-1048700"}, {"Range": "bytes=-300"}]
CLAIMS = {
    "X-Forwarded-For": "127.0.0.1",
    "X-Forwarded-User": "bob",
    "X-Original-URL": "/rcs/recordings/Blue-sealed",
    "X-Tenant": "Blue",
    "Forwarded": "for=127.0.0.1",
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoTenantsLab]:
    """Three services with the recordings of Red and of Blue."""
    with two_tenants_lab(tmp_path_factory.mktemp("two-tenants")) as running:
        yield running


def play_paths(lab: TwoTenantsLab, recording_id: str, name: str) -> list[str]:
    """Return every address that gives a recording's bytes, stored or decrypted."""
    processor, crypto = lab.urls["processor"], lab.urls["crypto"]
    return [
        f"{crypto}/rcs/recordings/{recording_id}/play/{name}",
        f"{crypto}/rcs/contact-centers/{CCID}/user-recordings/{recording_id}/play/{name}",
        f"{processor}/console/recordings/{recording_id}/play/{name}",
        f"{processor}/api/v2/recordings/{recording_id}/play/{name}",
        f"{processor}/api/v2/ops/contact-centers/{CCID}/recordings/{recording_id}/play/{name}",
    ]


def other_paths(lab: TwoTenantsLab, recording_id: str, name: str) -> list[str]:
    """Return addresses that tell of a recording, or that could be mistaken for one that plays."""
    processor, crypto = lab.urls["processor"], lab.urls["crypto"]
    stem = name.partition(".")[0]
    own = lab.names["Red-sealed"]
    return [
        f"{processor}/api/v2/recordings/{recording_id}",
        f"{processor}/api/v2/ops/contact-centers/{CCID}/recordings/{recording_id}",
        f"{processor}/lab/recordings/{recording_id}/envelopes/{stem}.pem",
        f"{processor}/lab/recordings/{recording_id}/envelopes/{stem}",
        f"{crypto}/lab/recordings/{recording_id}/rewrap",
        f"{crypto}/rcs/recordings/Red-sealed/play/{name}",
        f"{processor}/api/v2/recordings/Red-sealed/play/{name}",
        f"{processor}/console/recordings/Red-sealed/play/{name}",
        f"{crypto}/rcs/recordings/Red-sealed/../{recording_id}/play/{name}",
        f"{crypto}/rcs/recordings/Red-sealed%2f..%2f{recording_id}/play/{name}",
        f"{crypto}/rcs/recordings/{recording_id}/play/{own}?tenant=Red",
        f"{crypto}/rcs/recordings/{recording_id}/play/{name.removesuffix('.bin')}",
        f"{crypto}/rcs/recordings/{recording_id}/play/{name.replace('.wav', '.mp3')}",
        f"{crypto}/rcs/screen-recordings/{recording_id}/content/{name}",
        f"{crypto}/rcs/screen-recordings/{recording_id}/content/{stem}.mp4",
        f"{crypto}/rcs/contact-centers/{CCID}/user-screen-recordings/{recording_id}/content/{name}",
    ]


def tells(lab: TwoTenantsLab, recording_id: str, body: bytes) -> bool:
    """Tell whether a body holds anything of a recording: sound, ciphertext, envelope or name."""
    made = lab.recordings[recording_id]
    pieces = [
        content[at : at + 30]
        for content in (made.plaintext, made.stored)
        for at in (60, len(content) // 2, len(content) - 40)
    ]
    envelope = made.media.get("pkcs7", "")[60:100].encode()
    return any(piece in body for piece in pieces) or (bool(envelope) and envelope in body)


@pytest.mark.slow
def test_each_tenant_hears_its_own(lab: TwoTenantsLab) -> None:
    """Red's person gets Red's bytes at every address, whole and in parts; so does Blue's."""
    for who, tenant in (("rita", "Red"), ("bob", "Blue")):
        for recording_id in (f"{tenant}-sealed", f"{tenant}-bare"):
            made = lab.recordings[recording_id]
            for url in play_paths(lab, recording_id, lab.names[recording_id]):
                whole = made.stored if "/api/v2/" in url else made.plaintext
                assert lab.ask(url, who).body == whole, url
                part = lab.ask(url, who, headers={"Range": "bytes=-300"})
                assert (part.status, part.body) == (206, whole[-300:]), url


@pytest.mark.slow
def test_nobody_gets_anything_of_the_others(lab: TwoTenantsLab) -> None:
    """Every address, method and header: the very answer of a recording that does not exist."""
    tried = 0
    for recording_id in ("Blue-sealed", "Blue-bare"):
        name = lab.names[recording_id]
        for make in (play_paths, other_paths):
            theirs, unknown = make(lab, recording_id, name), make(lab, "No-such", name)
            for there, nowhere in zip(theirs, unknown, strict=True):
                for headers in [*RANGES, CLAIMS]:
                    got = lab.ask(there, "rita", headers=headers)
                    expected = lab.ask(nowhere, "rita", headers=headers)
                    assert got.status in (404, 405), (there, got)
                    assert got.status == expected.status, there
                    assert got.headers.keys() == expected.headers.keys(), there
                    assert got.body.replace(recording_id.encode(), b"No-such") == expected.body
                    assert not tells(lab, recording_id, got.body), there
                    tried += 1
                for method in ("HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"):
                    body = json.dumps({"add": [tenant_key("Red").certificate.fingerprint]}).encode()
                    sent = {"Content-Type": "application/json"}
                    got = lab.ask(there, "rita", method, sent, body)
                    expected = lab.ask(nowhere, "rita", method, sent, body)
                    assert got.status >= 400, (method, there)
                    assert got.status == expected.status, (method, there)
                    assert not tells(lab, recording_id, got.body), (method, there)
                    tried += 1
    assert tried > 400
    # And nothing of Blue's was changed by all this.
    for recording_id in ("Blue-sealed", "Blue-bare"):
        url = play_paths(lab, recording_id, lab.names[recording_id])[0]
        assert lab.ask(url, "bob").body == lab.recordings[recording_id].plaintext


@pytest.mark.slow
def test_lists_and_pages_show_only_ones_own(lab: TwoTenantsLab) -> None:
    """Searches, the console's page and the archive of Red's person hold nothing of Blue's."""
    processor, crypto = lab.urls["processor"], lab.urls["crypto"]
    since = "from=2025-01-01T00:00:00Z&to=2027-01-01T00:00:00Z"
    for url, shows_red in [
        (f"{processor}/api/v2/recordings?startTime=2000-01-01T00:00:00Z", True),
        (f"{processor}/api/v2/recordings?callerPhoneNumber=*", True),
        (f"{processor}/", True),
        (f"{processor}/lab/archive/recordings?{since}", False),
        (f"{processor}/lab/archive.zip?{since}", False),
        (f"{crypto}/lab/certificates", False),
        (f"{crypto}/lab/certificates?tenant=Blue", False),
    ]:
        answer = lab.ask(url, "rita")
        assert b"Blue-" not in answer.body, url
        assert b"key of Blue" not in answer.body, url
        assert not any(tells(lab, theirs, answer.body) for theirs in ("Blue-sealed", "Blue-bare"))
        assert not shows_red or b"Red-sealed" in answer.body, url


@pytest.mark.slow
def test_other_sign_ins_give_nothing(lab: TwoTenantsLab) -> None:
    """Nobody, a wrong password and machines' names get 401, 403 or 404 from the crypto server."""
    url = play_paths(lab, "Blue-sealed", lab.names["Blue-sealed"])[0]
    for who in (None, "mcp", "crypto", "processor"):
        for headers in RANGES:
            answer = lab.ask(url, who, headers=headers)
            assert answer.status in (401, 403, 404), who
            assert not tells(lab, "Blue-sealed", answer.body)


@pytest.mark.slow
def test_the_console_tells_the_crypto_server_for_whom_it_asks(lab: TwoTenantsLab) -> None:
    """A playback on the page is audited with the browser's address, not the processor's only."""
    url = play_paths(lab, "Red-sealed", lab.names["Red-sealed"])[2]
    lab.ask(url, "rita", headers={"Range": "bytes=0-99"})

    def lines() -> list[dict[str, Any]]:
        return [line for line in lab.audit() if line.get("part") == "bytes 0-99/1200000"]

    wait_until(lambda: bool(lines()), "the playback's line in the audit")
    [line] = lines()
    assert (line["who"], line["recording"], line["outcome"]) == ("rita", "Red-sealed", "played")
    assert (line["bytes"], line["source"]) == (100, "127.0.0.1")
    assert "127.0.0.1" in line["forwarded_for"]
    refused = [line for line in lab.audit() if line["outcome"] == "forbidden-tenant"]
    assert {line["tenant"] for line in refused} <= {"Blue"}

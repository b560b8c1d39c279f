"""Store, processor and crypto server as real processes, with two tenants, Red and Blue, in them.

Each tenant has a person with every role that a person can have, limited to it, and two recordings,
one of them not encrypted. HTTP by the standard library.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import tomli_w

from crypto_server.keystore import Keystore
from service_shell.accounts import basic_header, hash_password
from tests.crypto_server.keys import KeyPair, key_pair
from tests.crypto_server.recordings import MadeRecording, encrypted, plain, wav

TENANTS = ("Red", "Blue")
DOMAIN, CCID = "lab.example", "5a1f0c3e-0000-4000-8000-00000000c0de"
_SERVICES = {
    "store": "webdav_store",
    "processor": "recording_processor",
    "crypto": "crypto_server",
}
_PEOPLE = {"rita": "Red", "bob": "Blue"}


def tenant_key(tenant: str) -> KeyPair:
    """Return a tenant's only key."""
    return key_pair(f"key of {tenant}")


@dataclass(frozen=True)
class Answer:
    """Status, the headers that say something, and the body of an answer."""

    status: int
    headers: dict[str, str]
    body: bytes = field(repr=False)


@dataclass
class TwoTenantsLab:
    """The running services. `recordings` are found by their id, `names` are their play names."""

    urls: dict[str, str]
    audit_file: Path
    recordings: dict[str, MadeRecording]
    names: dict[str, str] = field(default_factory=dict)

    def ask(
        self,
        url: str,
        who: str | None,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Send a request exactly as it stands; `url` is not normalised."""
        at = urlsplit(url)
        sent = dict(headers or {})
        if who is not None:
            sent["Authorization"] = basic_header(who, f"{who}'s password")
        connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=30)
        try:
            connection.request(method, url.removeprefix(f"http://{at.netloc}"), body, sent)
            answer = connection.getresponse()
            told = {name.lower(): value for name, value in answer.getheaders()}
            told.pop("date", None)
            return Answer(answer.status, told, answer.read())
        finally:
            connection.close()

    def audit(self) -> list[dict[str, Any]]:
        """Return the lines of the crypto server's audit file."""
        return [json.loads(line) for line in self.audit_file.read_text().splitlines()]

    def file(self, recording_id: str) -> None:
        """Put a recording's bytes into the store, and its metadata into the processor."""
        made = self.recordings[recording_id]
        media_id = made.media["mediaId"]
        url = f"{self.urls['store']}/recordings/{media_id}"
        url += ".bin" if made.media.get("pkcs7") else ""
        assert self.ask(url, "mcp", "PUT", body=made.stored).status == 201
        media = {
            "mediaDescriptor": {"storage": "webDAV", "path": url, "data": {}},
            "startTime": "2026-01-02T10:00:00.000Z",
            "stopTime": "2026-01-02T10:00:12.500Z",
            "type": "audio/wav",
            "duration": "12500",
            "ivrprofile": "recording",
            "parameters": {"id": recording_id, "callUuid": recording_id, "ani": "7001"},
            "masks": [],
            "certAlias": [],
            **{key: value for key, value in made.media.items() if key != "mediaPath"},
        }
        post = f"{self.urls['processor']}/api/contact-centers/{DOMAIN}/recordings"
        body = json.dumps({"mediaFiles": [media]}).encode()
        answer = self.ask(post, "mcp", "POST", {"Content-Type": "application/json"}, body)
        assert answer.status == 200, answer.body
        found = self.ask(f"{self.urls['processor']}/api/v2/recordings/{recording_id}", "crypto")
        [told] = json.loads(found.body)["recording"]["mediaFiles"]
        self.names[recording_id] = told["mediaPath"].rpartition("/")[2]


@contextmanager
def two_tenants_lab(folder: Path) -> Iterator[TwoTenantsLab]:
    """Start the three services in `folder`, with all recordings filed; end them in order."""
    recordings: dict[str, MadeRecording] = {}
    keystore = Keystore.open(folder / "keystore", "keystore password")
    for number, tenant in enumerate(TENANTS):
        pair = tenant_key(tenant)
        keystore.add(tenant, pair.alias, pair.certificate, pair.private_key)
        sealed, bare = f"{tenant}-sealed", f"{tenant}-bare"
        audio = wav(1_200_000, seed=number)
        recordings[sealed] = encrypted(audio, pair, recording_id=sealed, tenant=tenant)
        recordings[bare] = plain(wav(9000, seed=9 + number), recording_id=bare)
        recordings[bare] = recordings[bare].changed(tenant=tenant)
    keystore.close()
    with ExitStack() as stack:
        doors = {name: stack.enter_context(socket.socket()) for name in _SERVICES}
        for door in doors.values():
            door.bind(("127.0.0.1", 0))
            door.listen(64)
        urls = {name: f"http://127.0.0.1:{door.getsockname()[1]}" for name, door in doors.items()}
        settings = _settings(folder, urls)
        for name in _SERVICES:
            stack.enter_context(_service(folder, name, doors[name], settings[name]))
        lab = TwoTenantsLab(urls, folder / "audit.jsonl", recordings)
        for recording_id in recordings:
            lab.file(recording_id)
        yield lab


@contextmanager
def _service(
    folder: Path, name: str, door: socket.socket, settings: dict[str, object]
) -> Iterator[None]:
    config = folder / f"{name}.toml"
    config.write_text(tomli_w.dumps(settings))
    environ = os.environ | {f"RECLAB_{name.upper()}__LISTEN": f"fd://{door.fileno()}"}
    command = [sys.executable, "-m", _SERVICES[name], "--config", str(config)]
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, env=environ, pass_fds=[door.fileno()]
        )
    try:
        assert process.stdout is not None
        ready = process.stdout.readline()
        assert ready.startswith(b'{"ready"'), (folder / f"{name}.log").read_text()
        yield
    finally:
        process.terminate()
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise


def _settings(folder: Path, urls: dict[str, str]) -> dict[str, dict[str, object]]:
    def account(name: str, *roles: str, tenants: list[str] | None = None) -> dict[str, object]:
        hashed = hash_password(f"{name}'s password")
        limit = {} if tenants is None else {"tenants": tenants}
        return {"name": name, "roles": list(roles), "password_hash": hashed, **limit}

    people = [
        account(name, "listener", "operator", "admin", tenants=[tenant])
        for name, tenant in _PEOPLE.items()
    ]
    for name, password in [("crypto", "crypto's password"), ("keystore", "keystore password")]:
        (folder / f"{name}.password").write_text(password + "\n")
        (folder / f"{name}.password").chmod(0o600)
    (folder / "store").mkdir()
    (folder / "tenants.toml").write_text(
        tomli_w.dumps({"tenants": [{"name": t, "dbid": n} for n, t in enumerate(TENANTS, 1)]})
    )
    return {
        "store": {
            "root": str(folder / "store"),
            "accounts": [account("mcp", "mcp"), account("processor", "processor")],
        },
        "processor": {
            "catalogue": str(folder / "recordings.sqlite"),
            "crypto_url": urls["crypto"],
            "contact_center": {"domain": DOMAIN, "ccid": CCID, "region": "lab"},
            "accounts": [account("mcp", "mcp"), account("crypto", "crypto"), *people],
            "storages": [
                {
                    "url": f"{urls['store']}/recordings",
                    "name": "processor",
                    "password": "processor's password",
                }
            ],
            "provision": [str(folder / "tenants.toml")],
        },
        "crypto": {
            "accounts": people,
            "keystore": {
                "folder": str(folder / "keystore"),
                "password_file": str(folder / "keystore.password"),
            },
            "processor": {
                "url": urls["processor"],
                "user": "crypto",
                "password_file": str(folder / "crypto.password"),
            },
            "audit": {"file": str(folder / "audit.jsonl")},
        },
    }

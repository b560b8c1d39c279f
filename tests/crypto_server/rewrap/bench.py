"""A crypto server's re-wrap, in front of a catalogue that judges envelopes as the real one does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from crypto_server.administration.mounting import Administration
from crypto_server.administration.validation import Validation
from crypto_server.audit import Audit
from crypto_server.keystore import Keystore
from crypto_server.processor import ProcessorClient
from crypto_server.rewrap import EnvelopeClient, Rewrapper, RewrapRoutes
from crypto_server.settings import AdministrationSettings, ProcessorSettings
from recording_format.certificates import certificate_alias
from recording_format.envelope import Envelope
from recording_format.trust import CertificatePolicy, TrustStore
from recording_processor.envelope_change import EnvelopeChange, change_envelope
from recording_processor.errors import ProcessorError
from service_shell.accounts import Account, Accounts, basic_header, hash_password
from service_shell.failure import failure
from service_shell.listening import bind_tcp, display
from service_shell.web import basic_auth, errors_as_json, serve
from tests.crypto_server.administration.fake_catalogue import PASSWORD, USER
from tests.crypto_server.keys import TENANT, KeyPair
from tests.crypto_server.recordings import MadeRecording
from tests.recording_format.authority import NOW, Issued, recorder, root

ACCOUNTS = Accounts(
    [
        Account("ada", ["admin"], hash_password("ada's password")),
        Account("nora", ["admin"], hash_password("nora's password"), tenants=["North"]),
        Account("anna", ["listener"], hash_password("anna's password")),
    ]
)
JsonDict = dict[str, Any]


def pair(number: int) -> KeyPair:
    """Return a recorder of the tests' CA as a pair."""
    return paired(recorder(number))


def paired(issued: Issued) -> KeyPair:
    """Return a certificate and its key as a pair."""
    return KeyPair(issued.recording(), issued.key)


def ident(number: int) -> str:
    """Return the id of a recorder's certificate."""
    return recorder(number).recording().fingerprint


@dataclass
class RecordingCatalogue:
    """A processor that knows recordings. `before_put` is called once, before the next PUT."""

    recordings: dict[str, list[MadeRecording]] = field(default_factory=dict)
    url: str = ""
    puts: list[str] = field(default_factory=list)
    before_put: Callable[[], None] | None = None
    down: bool = False

    def add(self, *made: MadeRecording) -> None:
        """Take media files; those of one id are one recording."""
        for one in made:
            self.recordings.setdefault(one.recording_id, []).append(one)

    def envelope(self, recording_id: str, at: int = 0) -> Envelope:
        """Return a media file's envelope as it is now."""
        return Envelope.from_pem(self.recordings[recording_id][at].media["pkcs7"])

    def application(self) -> web.Application:
        """The doors of the fake."""
        app = web.Application(middlewares=[self._check])
        app.router.add_get("/api/v2/recordings/{id}", self._one)
        app.router.add_get("/api/v2/recordings/{id}/play/{name}", self._play)
        app.router.add_put("/lab/recordings/{id}/envelopes/{play}", self._replace)
        return app

    @web.middleware
    async def _check(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("Authorization") != basic_header(USER, PASSWORD):
            return failure(401, 3, "who are you")
        if self.down:
            return failure(503, 4, "not now")
        if request.match_info["id"] not in self.recordings:
            return failure(404, 6, "there is no such recording")
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _one(self, request: web.Request) -> web.Response:
        files = self.recordings[request.match_info["id"]]
        recording = {"id": request.match_info["id"], "mediaFiles": [one.media for one in files]}
        return web.json_response({"statusCode": 0, "recording": recording})

    async def _play(self, request: web.Request) -> web.Response:
        files = self.recordings[request.match_info["id"]]
        stored = next(one.stored for one in files if one.name == request.match_info["name"])
        part = request.http_range
        headers = {
            "Content-Range": f"bytes {part.start}-{min(part.stop, len(stored)) - 1}/{len(stored)}"
        }
        return web.Response(status=206, body=stored[part], headers=headers)

    async def _replace(self, request: web.Request) -> web.Response:
        if self.before_put is not None:
            before, self.before_put = self.before_put, None
            before()
        change = msgspec.json.decode(await request.read(), type=EnvelopeChange)
        files = self.recordings[request.match_info["id"]]
        at = next(n for n, one in enumerate(files) if request.match_info["play"] in one.name)
        try:
            media = change_envelope(files[at].media, change)
        except ProcessorError as error:
            return failure(error.status, error.code, str(error))
        self.puts.append(files[at].name)
        files[at] = replace(files[at], media=media)
        return web.json_response({"statusCode": 0, "changed": True})


@dataclass
class Bench:
    """A running re-wrap."""

    url: str
    catalogue: RecordingCatalogue
    keystore: Keystore
    audit_file: Path
    http: aiohttp.ClientSession
    at: datetime = NOW

    def add_key(self, number: int, tenant: str = TENANT, dbid: int = 1) -> None:
        """Put a recorder's key into the keystore."""
        one = pair(number)
        alias = certificate_alias(one.certificate, tenant, dbid)
        self.keystore.add(tenant, alias, one.certificate, one.private_key)

    async def rewrap(
        self, recording: str, *, who: str = "ada", **wish: object
    ) -> tuple[int, JsonDict]:
        """Ask for a re-wrap; return status and body."""
        url = f"{self.url}/lab/recordings/{recording}/rewrap"
        headers = {"Authorization": basic_header(who, f"{who}'s password")}
        async with self.http.post(url, json=wish, headers=headers) as answer:
            body: JsonDict = await answer.json()
            return answer.status, body

    async def refusal(
        self, recording: str, status: int, *, who: str = "ada", **wish: object
    ) -> str:
        """Ask for a re-wrap that is refused with that status; return the sentence."""
        before = len(self.catalogue.puts)
        got, body = await self.rewrap(recording, who=who, **wish)
        assert got == status, body
        assert len(self.catalogue.puts) == before
        sentence: str = body["statusMessage"]
        assert "\n" not in sentence
        return sentence

    def lines(self) -> list[JsonDict]:
        """Return the audit lines."""
        return [msgspec.json.decode(line) for line in self.audit_file.read_bytes().splitlines()]


@asynccontextmanager
async def running_bench(folder: Path) -> AsyncIterator[Bench]:
    """Give a re-wrap whose CA file has `root`, on the first of March 2026."""
    catalogue = RecordingCatalogue()
    runner = web.AppRunner(catalogue.application(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    keystore = Keystore.open(folder / "keystore", "the keystore's password")
    audit = Audit.open(folder / "audit.jsonl")
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        catalogue.url = f"http://{host}:{port}"
        settings = ProcessorSettings(url=catalogue.url, user=USER)
        async with aiohttp.ClientSession() as http:
            bench = Bench("", catalogue, keystore, folder / "audit.jsonl", http)
            trust = TrustStore.from_pem(root().pem, name="ca.pem")
            client = EnvelopeClient(settings, PASSWORD, http)
            administration = Administration(
                AdministrationSettings(), keystore, client,
                Validation(lambda: trust, CertificatePolicy()), audit, now=lambda: bench.at,
            )  # fmt: skip
            basic = basic_auth(ACCOUNTS, realm="x", open_paths=())
            app = web.Application(middlewares=[errors_as_json, administration.sign_in(basic)])
            processor = ProcessorClient(settings, PASSWORD, http)
            rewrapper = Rewrapper(administration.certificates, keystore, processor, client)
            administration.add_to(app)
            RewrapRoutes(rewrapper, administration.actions).add_to(app)
            sock = bind_tcp("127.0.0.1:0")
            async with serve(app, sock, grace=1.0):
                bench.url = f"http://{display(sock)}"
                yield bench
    finally:
        await runner.cleanup()
        audit.close()
        keystore.close()

"""An administration that is running, with a clock that tests move, and what they ask it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web
from multidict import CIMultiDictProxy
from prometheus_client import CollectorRegistry, generate_latest

from crypto_server.administration.mounting import Administration
from crypto_server.administration.processor import AdministrationClient
from crypto_server.administration.validation import Validation
from crypto_server.audit import Audit
from crypto_server.ca_file import CaFile
from crypto_server.keystore import Keystore
from crypto_server.settings import AdministrationSettings, ProcessorSettings
from recording_format.trust import CertificatePolicy
from service_shell.accounts import Account, Accounts, basic_header, hash_password
from service_shell.listening import bind_tcp, display
from service_shell.web import basic_auth, errors_as_json, serve
from tests.crypto_server.administration.fake_catalogue import PASSWORD, USER, FakeCatalogue
from tests.recording_format.authority import NOW, Issued, key_pem, recorder, root

ACCOUNTS = Accounts(
    [
        Account("ada", ["admin"], hash_password("ada's password")),
        Account("nora", ["admin"], hash_password("nora's password"), tenants=["North"]),
        Account("anna", ["listener"], hash_password("anna's password")),
    ]
)
TENANT = "Environment"
JsonDict = dict[str, Any]


@dataclass
class MovedClock:
    """The time, for certificates and for sessions; tests set it."""

    at: datetime = NOW

    def now(self) -> datetime:
        """Return the aware time."""
        return self.at

    def seconds(self) -> float:
        """Return the same as seconds that only grow."""
        return self.at.timestamp()

    def pass_by(self, **span: float) -> None:
        """Let time go by."""
        self.at += timedelta(**span)


@dataclass
class Answer:
    """An answer: status, headers, and the body as JSON where it is."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    cookie: str | None = None

    @property
    def json(self) -> JsonDict:
        """The body as an object."""
        decoded: JsonDict = msgspec.json.decode(self.body)
        return decoded

    @property
    def sentence(self) -> str:
        """The sentence of a refusal."""
        said: str = self.json["statusMessage"]
        return said


@dataclass
class Desk:
    """A running administration."""

    url: str
    clock: MovedClock
    catalogue: FakeCatalogue
    keystore: Keystore
    administration: Administration
    audit_file: Path
    ca_file: Path
    http: aiohttp.ClientSession
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    async def ask(
        self,
        method: str,
        path: str,
        said: object = None,
        *,
        who: str | None = "ada",
        data: object = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send a request, as JSON where something is `said`; return the answer."""
        sent = dict(headers or {})
        if who:
            sent["Authorization"] = basic_header(who, f"{who}'s password")
        async with self.http.request(
            method, self.url + path, json=said, data=data, headers=sent
        ) as response:
            cookie = response.cookies.get("rcs_session")
            body = await response.read()
            return Answer(response.status, response.headers, body, cookie.value if cookie else None)

    async def upload(self, issued: Issued, *, who: str = "ada", **more: object) -> Answer:
        """Upload a certificate with its key."""
        said = {"tenant": TENANT, "certificate": issued.pem, "key": key_text(issued), **more}
        return await self.ask("POST", "/lab/certificates", said, who=who)

    async def uploaded(self, issued: Issued, **more: object) -> str:
        """Upload a certificate that is taken; return its id."""
        answer = await self.upload(issued, **more)  # type: ignore[arg-type]  # who is not among them
        assert answer.status == 201, answer.body
        ident: str = answer.json["certificate"]["id"]
        return ident

    async def rows(self, query: str = "", *, who: str = "ada") -> list[JsonDict]:
        """Return the list."""
        answer = await self.ask("GET", f"/lab/certificates{query}", who=who)
        assert answer.status == 200, answer.body
        rows: list[JsonDict] = answer.json["certificates"]
        return rows

    def lines(self) -> list[JsonDict]:
        """Return the audit lines."""
        return [msgspec.json.decode(line) for line in self.audit_file.read_bytes().splitlines()]

    def metrics(self) -> str:
        """Return the metrics in Prometheus' text form."""
        return generate_latest(self.registry).decode()


def key_text(issued: Issued) -> str:
    """Return a private key as PEM text."""
    return key_pem(issued.key).decode()


@asynccontextmanager
async def running_desk(
    folder: Path, catalogue: FakeCatalogue, *, with_ca: bool = True
) -> AsyncIterator[Desk]:
    """Give an administration that serves; its CA file has `root`."""
    ca_file = folder / "ca.pem"
    ca_file.write_text(root().pem)
    clock = MovedClock()
    keystore = Keystore.open(folder / "keystore", "the keystore's password")
    audit = Audit.open(folder / "audit.jsonl")
    validation = Validation(CaFile(ca_file).load if with_ca else lambda: None, CertificatePolicy())
    settings = ProcessorSettings(url=catalogue.url, user=USER)
    try:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
            client = AdministrationClient(settings, PASSWORD, http)
            administration = Administration(
                AdministrationSettings(), keystore, client, validation, audit,
                now=clock.now, clock=clock.seconds,
            )  # fmt: skip
            basic = basic_auth(ACCOUNTS, realm="x", open_paths=("/openapi.yaml",))
            app = web.Application(middlewares=[errors_as_json, administration.sign_in(basic)])
            administration.add_to(app)
            sock = bind_tcp("127.0.0.1:0")
            async with serve(app, sock, grace=1.0):
                desk = Desk(
                    f"http://{display(sock)}", clock, catalogue, keystore, administration,
                    folder / "audit.jsonl", ca_file, http,
                )  # fmt: skip
                desk.registry.register(administration.expiry)
                yield desk
    finally:
        audit.close()
        keystore.close()


def own(number: int = 1) -> Issued:
    """A recording certificate of the tests' CA."""
    return recorder(number)

"""A recording processor that knows tenants, profiles and who needs a key, and can be away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from recording_format.certificates import RecordingCertificate
from service_shell.accounts import basic_header
from service_shell.failure import NOT_FOUND, failure

RUINED = "no fingerprint"
USER, PASSWORD = "crypto", "the processor's password"


@dataclass
class FakeProfile:
    """A profile: its options are fingerprints by name, in order."""

    name: str
    tenant: str
    records: bool = True
    options: dict[str, str] = field(default_factory=dict)


@dataclass
class FakeCatalogue:
    """What a processor knows. `down` answers everything with 503; `asked` are the questions.

    `recordings` are the aliases of each recording's recipients; `orphaned` more need any key.
    """

    url: str = ""
    tenants: dict[str, int] = field(default_factory=lambda: {"Environment": 1, "North": 2})
    profiles: dict[int, FakeProfile] = field(
        default_factory=lambda: {
            101: FakeProfile("recording", "Environment"),
            102: FakeProfile("voicemail", "Environment", records=False),
            201: FakeProfile("record", "North"),
        }
    )
    orphaned: int = 0
    recordings: list[set[str]] = field(default_factory=list)
    version: int = 7
    down: bool = False
    administrator: tuple[str, str] = ("ada", "ada's password")
    asked: list[tuple[str, str, Any]] = field(default_factory=list)

    def deploy_now(self, dbid: int, certificate: RecordingCertificate) -> None:
        """Let a profile have a certificate."""
        options = self.profiles[dbid].options
        options[f"certificates-{len(options) + 1}"] = certificate.fingerprint

    def application(self) -> web.Application:
        """The doors of the fake."""
        app = web.Application(middlewares=[self._check])
        app.router.add_get("/lab/tenants", self._tenants)
        app.router.add_get("/lab/deployments", self._deployments)
        app.router.add_get("/lab/profiles", self._profiles)
        app.router.add_post("/lab/profiles/{dbid}/certificates", self._deploy)
        app.router.add_delete("/lab/profiles/{dbid}/certificates/{which}", self._withdraw)
        app.router.add_post("/lab/recordings/need", self._need)
        return app

    @web.middleware
    async def _check(self, request: web.Request, handler: Any) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        self.asked.append((request.method, request.path_qs, body))
        known = self.administrator if request.path == "/lab/profiles" else (USER, PASSWORD)
        if request.headers.get("Authorization") != basic_header(*known):
            return failure(401, 3, "who are you")
        if self.down:
            return failure(503, 4, "not now")
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _tenants(self, _request: web.Request) -> web.Response:
        listed = [{"name": name, "dbid": dbid} for name, dbid in self.tenants.items()]
        return web.json_response({"statusCode": 0, "tenants": listed})

    async def _deployments(self, _request: web.Request) -> web.Response:
        profiles, deployments = [], []
        for dbid, profile in self.profiles.items():
            line = {"dbid": dbid, "name": profile.name, "tenant": profile.tenant}
            profiles.append({**line, "records": profile.records})
            deployments += [
                {**line, "option": option, "fingerprint": fingerprint}
                for option, fingerprint in profile.options.items()
            ]
        answer = {"statusCode": 0, "profiles": profiles, "deployments": deployments}
        return web.json_response(answer)

    async def _profiles(self, _request: web.Request) -> web.Response:
        known = [{"dbid": dbid, "name": one.name} for dbid, one in self.profiles.items()]
        return web.json_response({"version": self.version, "profiles": known})

    async def _deploy(self, request: web.Request) -> web.Response:
        body = await request.json()
        certificate = RecordingCertificate.load(body["certificate"], name="certificate")
        options = self.profiles[int(request.match_info["dbid"])].options
        if certificate.fingerprint not in options.values():
            self.version += 1
            self.deploy_now(int(request.match_info["dbid"]), certificate)
        option = next(o for o, known in options.items() if known == certificate.fingerprint)
        problems = [
            {"section": "recording-certificates", "option": name, "problem": "it is ruined"}
            for name, known in options.items()
            if known == RUINED
        ]
        answer = {"statusCode": 0, "option": option, "version": self.version, "problems": problems}
        return web.json_response(answer)

    async def _withdraw(self, request: web.Request) -> web.Response:
        options = self.profiles[int(request.match_info["dbid"])].options
        gone = [o for o, known in options.items() if known == request.match_info["which"]]
        if not gone:
            return failure(404, NOT_FOUND, "the profile has no such certificate")
        self.version += 1
        del options[gone[0]]
        answer: dict[str, Any] = {"statusCode": 0, "version": self.version}
        if not options:
            answer["warning"] = "the profile has no certificate now"
        return web.json_response(answer)

    async def _need(self, request: web.Request) -> web.Response:
        body = await request.json()
        needing = [aliases for aliases in self.recordings if body["alias"] in aliases]
        lost = [aliases for aliases in needing if not aliases & set(body["others"])]
        answer = {
            "statusCode": 0,
            "recordings": len(needing) + self.orphaned,
            "orphaned": len(lost) + self.orphaned,
        }
        return web.json_response(answer)


@asynccontextmanager
async def running(catalogue: FakeCatalogue) -> AsyncIterator[FakeCatalogue]:
    """Serve the fake on a free port of the loopback."""
    runner = web.AppRunner(catalogue.application(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        catalogue.url = f"http://{host}:{port}"
        yield catalogue
    finally:
        await runner.cleanup()

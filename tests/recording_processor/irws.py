"""Recording web services made for the tests: they take recordings, or fail as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer

from service_shell.accounts import basic_header
from tests.recording_processor.samples import CCID, Json

PATH = f"/internal-api/contact-centers/{CCID}/recordings"
USER, PASSWORD = "rps", "irws-secret"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Irws:
    """What came is in `taken`, in order, once for each 200; `tries` counts every POST.

    The next answers are those of `plan`, and then 200. With `csrf`, a POST needs the token of the
    last GET, and the cookie that came with it.
    """

    def __init__(self) -> None:
        self.url = ""
        self.taken: list[Json] = []
        self.tries = 0
        self.gets = 0
        self.plan: list[Answer] = []
        self.always: Answer | None = None
        self.csrf = False
        self.password = PASSWORD
        self.token = "t0"
        self.tried = asyncio.Event()
        self.headers: list[dict[str, str]] = []

    def taken_ids(self) -> list[tuple[str, list[str]]]:
        """Return each recording's id and media ids, in order."""
        return [
            (body["id"], [media["mediaId"] for media in body["mediaFiles"]]) for body in self.taken
        ]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        if request.method == "GET":
            return self._give_token()
        body: Json = await request.json()
        self.headers.append(dict(request.headers))
        self.tries += 1
        self.tried.set()
        if self.plan or self.always:
            answer = self.plan.pop(0) if self.plan else self.always
            assert answer is not None
            return await answer(request)
        if request.headers.get("Authorization") != basic_header(USER, self.password):
            return web.json_response({"statusCode": 3}, status=401)
        if self.csrf and not self._token_fits(request):
            return web.json_response({"statusCode": 3}, status=403)
        self.taken.append(body)
        return web.json_response({"statusCode": 0})

    def _give_token(self) -> web.Response:
        self.gets += 1
        self.token = f"t{self.gets}"
        answer = web.Response(headers={"X-CSRF-HEADER": "X-Forgery", "X-CSRF-TOKEN": self.token})
        answer.set_cookie("session", self.token)
        return answer

    def _token_fits(self, request: web.Request) -> bool:
        given = request.headers.get("X-Forgery"), request.cookies.get("session")
        return given == (self.token, self.token)


@asynccontextmanager
async def open_irws(port: int = 0) -> AsyncIterator[Irws]:
    """Serve them on a free port."""
    irws = Irws()
    app = web.Application()
    app.router.add_route("*", PATH, irws.handle)
    async with TestServer(app, port=port or None) as server:
        irws.url = str(server.make_url("")).rstrip("/")
        yield irws


def status(code: int, **headers: str) -> Answer:
    """Answer a status."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        body = {"statusCode": 4, "statusMessage": f"told {code}"}
        return web.json_response(body, status=code, headers=headers)

    return answer


def close_early(sent: bytes = b"") -> Answer:
    """Close the connection before the answer has come to its end, or without any."""

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        if sent:
            response = web.StreamResponse(headers={"Content-Length": "1000"})
            await response.prepare(request)
            await response.write(sent)
        request.transport.close()
        return web.Response()

    return answer


def hang(until: asyncio.Event) -> Answer:
    """Answer nothing before the event."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        await until.wait()
        return web.Response()

    return answer


def many(answer: Answer, times: int) -> Sequence[Answer]:
    """Return the same answer so many times."""
    return [answer] * times

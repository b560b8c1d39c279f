"""The play paths over HTTP: who may listen, what is answered, what is written down.

Until the first piece is checked, a failure is a JSON answer. After that the only honest sign is a
cut connection: no byte follows one that could not be checked, and the length stays unfulfilled.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import structlog
from aiohttp import web

from crypto_server.audit import Audit, PlaybackRecord
from crypto_server.errors import AuditError, PlaybackRefused, PlayerBusy
from crypto_server.media_file import MediaName, RecordingAddress
from crypto_server.metrics import PlaybackMetrics
from crypto_server.playback import Playback, Player
from crypto_server.settings import PlaybackSettings
from service_shell.web import ACCOUNT, RoleMissing, failure, metrics_response, require_role

OPEN_PATHS = ("/livez", "/readyz", "/metrics")
_PLAY_PATHS = (
    "/rcs/recordings/{recording}/play/{media}",
    "/rcs/contact-centers/{ccid}/user-recordings/{recording}/play/{media}",
)
_LONGEST_NOTE = 200
_RETRY_SECONDS = "2"
_log = structlog.get_logger()


def utc_now() -> datetime:
    """Return the time that audit lines are labelled with."""
    return datetime.now(UTC)


class PlayRoutes:
    """The handlers of one crypto server."""

    def __init__(
        self,
        player: Player,
        audit: Audit,
        metrics: PlaybackMetrics,
        settings: PlaybackSettings,
        *,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._player = player
        self._audit = audit
        self._metrics = metrics
        self._settings = settings
        self._now = now
        self._running = 0

    def add_to(self, app: web.Application) -> None:
        """Register every path."""
        for path in _PLAY_PATHS:
            app.router.add_get(path, self.play)
        app.router.add_get("/livez", self.livez)
        app.router.add_get("/readyz", self.readyz)
        app.router.add_get("/metrics", self.metrics)

    async def livez(self, _request: web.Request) -> web.Response:
        """Answer that the process lives."""
        return web.json_response({"status": "alive"})

    async def readyz(self, _request: web.Request) -> web.Response:
        """Answer whether recordings can be played: not while audit lines cannot be written."""
        if self._audit.behind:
            return web.json_response({"status": "the audit file is behind"}, status=503)
        return web.json_response({"status": "ready"})

    async def metrics(self, _request: web.Request) -> web.Response:
        """Answer the metrics in Prometheus' text form."""
        return metrics_response(self._metrics.registry)

    async def play(self, request: web.Request) -> web.StreamResponse:
        """Play one media file to a listener; a line is written however it ends."""
        record = _new_record(request, self._now())
        started = time.monotonic()
        try:
            require_role(request, "listener")
            with self._room():
                await self._check_audit()
                return await self._play(request, record)
        except RoleMissing:
            record.outcome, record.status = "forbidden", 403
            raise
        except PlaybackRefused as error:
            record.outcome, record.status = error.outcome, error.status
            headers = {"Retry-After": _RETRY_SECONDS} if error.status == 503 else None
            return failure(error.status, error.code, str(error), headers)
        except (asyncio.CancelledError, ConnectionError):
            record.outcome = "cut"
            raise
        finally:
            record.seconds = round(time.monotonic() - started, 3)
            await self._note(record)

    async def _play(self, request: web.Request, record: PlaybackRecord) -> web.StreamResponse:
        name = MediaName.parse(request.match_info["media"])
        address = RecordingAddress(request.match_info["recording"], request.match_info.get("ccid"))
        address.check()
        async with self._player.open(address, name, record) as playback:
            record.verified = playback.verified
            response = _begin_response(playback, name)
            await response.prepare(request)
            record.status = response.status
            if request.method == "HEAD":
                record.outcome = "probed"
            else:
                await self._send(request, response, playback, record)
        return response

    async def _send(
        self,
        request: web.Request,
        response: web.StreamResponse,
        playback: Playback,
        record: PlaybackRecord,
    ) -> None:
        """Send every piece, or cut the connection: nothing else may follow on it."""
        try:
            async for piece in playback.pieces():
                async with asyncio.timeout(self._settings.listener_seconds):
                    await response.write(piece)
                record.bytes += len(piece)
            await response.write_eof()
            record.outcome = "played"
        except PlaybackRefused as error:
            record.outcome = error.outcome
            _log.error("A playback was cut", recording_id=record.recording, reason=str(error))
        except (ConnectionError, TimeoutError):
            record.outcome = "cut"
        finally:
            if record.outcome != "played" and request.transport is not None:
                request.transport.abort()

    @contextmanager
    def _room(self) -> Iterator[None]:
        if self._running >= self._settings.concurrent:
            raise PlayerBusy(f"{self._running} recordings are being played already")
        self._running += 1
        self._metrics.running.set(self._running)
        try:
            yield
        finally:
            self._running -= 1
            self._metrics.running.set(self._running)

    async def _check_audit(self) -> None:
        """Refuse to play while earlier playbacks could not be written down."""
        if self._audit.behind:
            try:
                await asyncio.to_thread(self._audit.flush)
            except AuditError:
                message = "nothing is played while the audit file cannot be written"
                raise PlayerBusy(message) from None

    async def _note(self, record: PlaybackRecord) -> None:
        self._metrics.ended(record)
        _log.info(
            "A playback ended",
            outcome=record.outcome,
            who=record.who,
            recording_id=record.recording,
            media=record.media,
            key_alias=record.key_alias,
            verified=record.verified,
            sent=record.bytes,
            seconds=record.seconds,
        )
        await self._audit.write(record)


def _new_record(request: web.Request, now: datetime) -> PlaybackRecord:
    forwarded = request.headers.get("X-Forwarded-For")
    noted = {key: text[:_LONGEST_NOTE] for key, text in request.match_info.items()}
    return PlaybackRecord(
        time=now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        who=request[ACCOUNT].name,
        source=request.remote or "",
        method=request.method,
        recording=noted["recording"],
        media=noted["media"],
        contact_center=noted.get("ccid"),
        forwarded_for=forwarded[:_LONGEST_NOTE] if forwarded else None,
    )


def _begin_response(playback: Playback, name: MediaName) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={
            "Content-Type": name.content_type,
            "Accept-Ranges": "none",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Reclab-Verified": "yes" if playback.verified else "no",
        }
    )
    if playback.length is not None:
        response.content_length = playback.length
    return response

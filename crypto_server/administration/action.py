"""What every administrative action goes through: the role, the audit, one form of answer.

Each change (every method but GET) leaves one line in the audit file: who, when, from where, what,
to which certificate, and how it ended; never a key, a password or a PEM text. While the audit file
cannot be written, nothing is changed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from crypto_server.administration.errors import AdministrationRefused, NotRecorded
from crypto_server.audit import Audit
from crypto_server.errors import AuditError
from service_shell.failure import failure
from service_shell.web import ACCOUNT, RoleMissing, require_role

ROLE = "admin"
_LONGEST_NOTE = 200
_log = structlog.get_logger()


@dataclass
class AdministrationRecord:
    """What is written about one action; filled in while it goes on. Holds no secret.

    `action` says what was asked (``upload``, ``delete``, …), `detail` what was special about it.
    `outcome` is ``done``, ``refused``, ``unknown``, ``forbidden``, ``cut``, ``failed``, or another
    refusal's; `reason` is the sentence that was answered.
    """

    time: str
    who: str
    source: str
    action: str
    forwarded_for: str | None = None
    tenant: str | None = None
    certificate: str | None = None
    key_alias: str | None = None
    profile: int | None = None
    recording: str | None = None
    detail: str | None = None
    outcome: str = "failed"
    status: int = 500
    reason: str | None = None
    seconds: float = 0.0


def noted(text: str | None) -> str | None:
    """Return what somebody typed as a name, if it may be one; else None.

    A key that was pasted into the wrong field must not reach the audit.
    """
    return text if text and len(text) <= _LONGEST_NOTE and text.isprintable() else None


Act = Callable[[web.Request, AdministrationRecord], Awaitable[web.Response]]
Read = Callable[[web.Request], Awaitable[web.Response]]


class Actions:
    """Makes handlers of what administrators may ask."""

    def __init__(self, audit: Audit, now: Callable[[], datetime]) -> None:
        self._audit = audit
        self._now = now

    def read(self, handler: Read) -> Handler:
        """Return the handler of a question: for administrators, not written down."""

        async def handle(request: web.Request) -> web.StreamResponse:
            require_role(request, ROLE)
            try:
                return await handler(request)
            except AdministrationRefused as error:
                return refusal(error)

        return handle

    def change(self, action: str, handler: Act) -> Handler:
        """Return the handler of a change: for administrators, one audit line however it ends."""

        async def handle(request: web.Request) -> web.StreamResponse:
            record = self._new_record(request, action)
            started = time.monotonic()
            try:
                require_role(request, ROLE)
                await self._check_audit()
                answer = await handler(request, record)
                record.outcome, record.status = "done", answer.status
                return answer
            except RoleMissing as error:
                record.outcome, record.status, record.reason = "forbidden", 403, str(error)
                raise
            except AdministrationRefused as error:
                record.outcome, record.status = error.outcome, error.status
                record.reason = str(error)
                return refusal(error)
            except (asyncio.CancelledError, ConnectionError):
                record.outcome = "cut"
                raise
            finally:
                record.seconds = round(time.monotonic() - started, 3)
                await self._note(record)

        return handle

    def _new_record(self, request: web.Request, action: str) -> AdministrationRecord:
        forwarded = request.headers.get("X-Forwarded-For")
        now = self._now().astimezone(UTC).isoformat(timespec="milliseconds")
        return AdministrationRecord(
            time=now.replace("+00:00", "Z"),
            who=request[ACCOUNT].name,
            source=request.remote or "",
            action=action,
            forwarded_for=forwarded[:_LONGEST_NOTE] if forwarded else None,
        )

    async def _check_audit(self) -> None:
        if self._audit.behind:
            try:
                await asyncio.to_thread(self._audit.flush)
            except AuditError:
                raise NotRecorded(
                    "nothing is changed while the audit file cannot be written"
                ) from None

    async def _note(self, record: AdministrationRecord) -> None:
        _log.info(
            "An administrative action ended",
            action=record.action,
            outcome=record.outcome,
            who=record.who,
            tenant=record.tenant,
            certificate=record.certificate,
            profile=record.profile,
            reason=record.reason,
        )
        await self._audit.write(record)


def answer(fields: dict[str, object], *, status: int = 200) -> web.Response:
    """Return a good answer: statusCode 0 and `fields`, those that are None left out."""
    body = {"statusCode": 0} | {name: value for name, value in fields.items() if value is not None}
    return web.Response(
        body=msgspec.json.encode(body),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def refusal(error: AdministrationRefused) -> web.Response:
    """Return the answer of a refusal, with its facts."""
    if not error.facts:
        return failure(error.status, error.code, str(error))
    body = {"statusCode": error.code, "statusMessage": str(error), **error.facts}
    return web.json_response(body, status=error.status)

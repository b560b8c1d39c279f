"""How every answer of the processor looks: errors in the vendor's form, and safe headers."""

from __future__ import annotations

import msgspec
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from recording_processor.errors import ProcessorError, UpstreamFailed
from service_shell.web import failure

_log = structlog.get_logger()
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        "media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


def json_answer(value: object, *, status: int = 200) -> web.Response:
    """Return `value` as a successful JSON answer."""
    body = msgspec.json.encode(value)
    return web.Response(status=status, body=body, content_type="application/json")


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Add the security headers to an answer, whatever it is (``on_response_prepare``)."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    # What aiohttp would say tells strangers the versions of Python and of itself.
    response.headers["Server"] = "recording_processor"


@web.middleware
async def own_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer the processor's own errors by their status, statusCode and sentence."""
    try:
        return await handler(request)
    except ProcessorError as error:
        if isinstance(error, UpstreamFailed):
            _log.warning("An upstream service failed", path=request.path, reason=str(error))
        retry = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
        return failure(error.status, error.code, str(error), retry)

"""Changes are asked for by programs and by our own pages, never by the page of another site.

A browser sends a signed-in person's name and password along with whatever a page makes it ask for.
It also says whose page that is (``Origin``, RFC 6454 §7): a change for a foreign one is refused.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from recording_processor.errors import NotPermitted

_READING = ("GET", "HEAD")


def own_pages(public_url: str) -> Middleware:
    """Return the middleware; a page is ours by the address asked for, or by `public_url`."""
    public = _host(public_url)

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        if origin is None or request.method in _READING:
            return await handler(request)
        host = _host(origin)
        if host is None or host not in (request.host.lower(), public):
            raise NotPermitted("the page of another site may not change anything here")
        return await handler(request)

    return check


def _host(url: str) -> str | None:
    """Return host and port of a URL, or None where it has none."""
    try:
        return urlsplit(url).netloc.lower() or None
    except ValueError:
        return None

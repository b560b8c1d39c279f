"""The one form of every error answer: HTTP status, the vendor's statusCode, one sentence."""

from __future__ import annotations

from aiohttp import web

BAD_PARAMETER, NO_PERMISSION, INTERNAL, NO_ROLE, NOT_FOUND = 2, 3, 4, 5, 6


def failure(
    status: int, code: int, message: str, headers: dict[str, str] | None = None
) -> web.Response:
    """Return an error answer: HTTP `status`, the vendor's statusCode, one sentence."""
    body = {"statusCode": code, "statusMessage": message}
    return web.json_response(body, status=status, headers=headers)

"""How WsgiDAV's outcomes and errors become answers: one plain sentence each.

WsgiDAV's own pages would tell its version, and some of them our paths.
"""

from __future__ import annotations

from http import HTTPStatus

import structlog
from wsgidav.dav_error import DAVError

from webdav_store.errors import Refused, refusal_of
from webdav_store.exchange import Answer, DavRequest, Headers

_log = structlog.get_logger()
_OF_PAGE = ("Content-Type", "Content-Length", "Date")
_CONTENT = (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT)


def plain_answer(answer: Answer) -> Answer:
    """Replace WsgiDAV's pages about an outcome (it makes them for 201 too) by plain ones."""
    kind = dict(answer.headers).get("Content-Type", "")
    if not kind.startswith("text/html") or answer.status in _CONTENT:
        return answer
    answer.close()
    kept = [
        (n, v) for n, v in answer.headers if n.lower() not in ("content-type", "content-length")
    ]
    if answer.status < HTTPStatus.BAD_REQUEST:
        return Answer(answer.status, [*kept, ("Content-Length", "0")])
    return Answer.sentence(Refused(answer.status, HTTPStatus(answer.status).phrase, dict(kept)))


def failure_answer(request: DavRequest, error: Exception) -> Answer:
    if isinstance(error, Refused):
        return Answer.sentence(error)
    if isinstance(error, OSError):
        refused = refusal_of(error)
    elif isinstance(error, DAVError):
        if error.err_condition is not None or error.value == HTTPStatus.NOT_MODIFIED:
            return _condition(error)
        phrase = HTTPStatus(error.value).phrase
        refused = Refused(error.value, str(error.context_info or phrase))
        refused.headers = dict(error.add_headers or ())
    else:
        refused = Refused(500, "an internal error; the log tells more")
    if refused.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        cause = getattr(error, "src_exception", None) or error
        _log.error("A request failed", method=request.method, path=request.path, exc_info=cause)
    return Answer.sentence(refused)


def _condition(error: DAVError) -> Answer:
    """Answer 304, or an error with its condition as XML (RFC 4918 §16)."""
    headers: Headers = list(error.add_headers or ())
    if error.err_condition is None:
        return Answer(error.value, headers)
    kind, body = error.get_response_page()
    return Answer(
        error.value, [*headers, ("Content-Type", kind), ("Content-Length", str(len(body)))], body
    )

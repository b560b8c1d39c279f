"""Which role may do what: `mcp` stores, the people and the processor read, the rest nothing."""

from __future__ import annotations

from service_shell.accounts import Account
from webdav_store.errors import Refused

READING = frozenset({"OPTIONS", "GET", "HEAD", "PROPFIND"})
WRITING = frozenset({"PUT", "DELETE", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK"})
_WRITERS = frozenset({"mcp"})
_READERS = _WRITERS | {"operator", "admin", "processor"}


def check_right(account: Account, method: str) -> None:
    """Raise `Refused`: 405 for a method that is not WebDAV's, 403 for one the account may not."""
    if method not in READING | WRITING:
        raise Refused(405, f"the method {method} is not known here")
    roles = _READERS if method in READING else _WRITERS
    if not roles & set(account.roles):
        verb = "read" if method in READING else "change"
        raise Refused(403, f"the account {account.name!r} may not {verb} recordings")

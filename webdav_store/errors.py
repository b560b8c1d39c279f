"""Why the store does not do what a client asked, as an HTTP status and one plain sentence.

    Refused
    ├── TargetRefused   400, 414: the request-target names nothing that could be stored
    └── BodyCut         400, 413: the body did not arrive whole; trying again can help
        └── BodyStalled 408: nothing more is expected of the client

`refusal_of` is the one place where errors of the operating system become statuses.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping


class Refused(Exception):
    """An answer of 4xx or 5xx. The text is the sentence that the client reads."""

    def __init__(
        self,
        status: int,
        sentence: str,
        headers: Mapping[str, str] | None = None,
        *,
        condition: str = "",
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = dict(headers or {})
        self.condition = condition
        """A condition of RFC 4918 §16, told in XML instead of the sentence."""


class TargetRefused(Refused):
    """The request-target, or the Destination, cannot be a stored file's path."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(status, sentence)


class BodyCut(Refused):
    """A body ended early, stalled, or was longer than allowed; nothing of it is kept."""


class BodyStalled(BodyCut):
    """A client sent nothing for too long; the connection ends with the answer."""

    def __init__(self) -> None:
        super().__init__(408, "the body stalled")


_STATUS = {
    errno.ENOSPC: (507, "the disk is full"),
    errno.EDQUOT: (507, "the disk quota is used up"),
    errno.EROFS: (507, "the disk is read-only"),
    errno.EFBIG: (413, "the file is larger than the disk allows"),
    errno.EACCES: (403, "the folder may not be written"),
    errno.EPERM: (403, "the folder may not be written"),
    errno.ELOOP: (403, "links are not followed"),
    errno.ENAMETOOLONG: (414, "the path is too long"),
    errno.ENOENT: (409, "the collection does not exist"),
    errno.ENOTDIR: (409, "the parent is not a collection"),
    errno.EISDIR: (409, "the name is a collection"),
    errno.EEXIST: (409, "the name exists"),
    errno.ENOTEMPTY: (409, "the collection is not empty"),
    errno.EMFILE: (503, "too many files are open"),
    errno.ENFILE: (503, "too many files are open"),
}


def refusal_of(error: OSError) -> Refused:
    """Return the answer for an error of the disk; what is not foreseen is 500 without detail."""
    status, sentence = _STATUS.get(error.errno or 0, (500, "the disk failed"))
    return Refused(status, sentence, {"Retry-After": "1"} if status == 503 else None)

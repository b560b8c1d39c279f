"""Digests of stored files as HTTP fields: ``Repr-Digest`` and its relatives (RFC 9530).

A field is a structured-field dictionary (RFC 8941 §3.2); only the algorithms that RFC 9530 calls
active are known here. Files are read in pieces of 1 MiB, whatever their size.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re

from webdav_store.errors import Refused

ALGORITHMS = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}
_MEMBER = re.compile(r"\s*(?P<key>[a-z*][a-z0-9_.*-]*)\s*=\s*(?P<value>[^,;\s]*)\s*(;[^,]*)?")
_PIECE = 1 << 20


def wanted_algorithm(want_repr_digest: str | None) -> str | None:
    """Return the algorithm that ``Want-Repr-Digest`` likes best of those known (RFC 9530 §4).

    Weights are 0 (not acceptable) to 10. None when nothing known is wanted.
    """
    best: tuple[int, str] | None = None
    for member in (want_repr_digest or "").split(","):
        match = _MEMBER.fullmatch(member)
        if match is None or match["key"] not in ALGORITHMS:
            continue
        weight = int(match["value"]) if re.fullmatch(r"\d|10", match["value"]) else 0
        if weight > 0 and (best is None or weight > best[0]):
            best = (weight, match["key"])
    return best[1] if best else None


def announced_digests(field: str | None) -> dict[str, bytes]:
    """Return the known algorithms' digests of a ``Repr-Digest`` field that came with an upload.

    Raises `Refused` (400) for a malformed value: an unreadable digest is no reason not to check.
    """
    found: dict[str, bytes] = {}
    for member in (field or "").split(","):
        match = _MEMBER.fullmatch(member)
        if match is None or match["key"] not in ALGORITHMS:
            continue
        value = match["value"]
        try:
            digest = base64.b64decode(value[1:-1], validate=True)
        except binascii.Error:
            digest = b""
        expected = ALGORITHMS[match["key"]]().digest_size
        if not (value.startswith(":") and value.endswith(":")) or len(digest) != expected:
            raise Refused(400, f"the announced {match['key']} digest is malformed")
        found[match["key"]] = digest
    return found


def format_digest(algorithm: str, digest: bytes) -> str:
    """Return a ``Repr-Digest`` value, for example ``sha-256=:<base64>:``."""
    return f"{algorithm}=:{base64.b64encode(digest).decode()}:"


def digest_of_file(descriptor: int, algorithm: str) -> bytes:
    """Return the digest of an open file from its beginning; the file position does not move."""
    hasher = ALGORITHMS[algorithm]()
    offset = 0
    while piece := os.pread(descriptor, _PIECE, offset):
        hasher.update(piece)
        offset += len(piece)
    return hasher.digest()

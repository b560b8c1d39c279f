"""What an HTTP request asks to hear, and the audit line that begins with it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from crypto_server.audit import PlaybackRecord
from crypto_server.errors import RecordingUnknown
from crypto_server.playing.byte_range import ByteRange, Wish
from crypto_server.playing.media_file import MediaName, RecordingAddress, unknown
from service_shell.accounts import Account
from service_shell.web import ACCOUNT

_LONGEST_NOTE = 200


@dataclass(frozen=True)
class PlayRequest:
    """Who wants to hear which media file, and what of it.

    `probe` is a HEAD: only what is told of the file is wanted, nothing is to be heard.
    """

    account: Account
    address: RecordingAddress
    name: MediaName
    wish: Wish
    probe: bool = False


def read_request(request: web.Request, account: Account, kinds: Collection[str]) -> PlayRequest:
    """Read what is asked for of one of `kinds` (file extensions).

    Raises `RecordingUnknown` when nothing can have such a name.
    """
    name = MediaName.parse(request.match_info["media"])
    if name.extension not in kinds:
        raise RecordingUnknown(unknown(name))
    address = RecordingAddress(request.match_info["recording"], request.match_info.get("ccid"))
    address.check()
    headers = request.headers
    # Range is for GET only (RFC 9110 §14.2).
    part = ByteRange.read(headers.getall("Range", [])) if request.method == "GET" else None
    wish = Wish(
        part, headers.get("If-Range"), headers.get("If-Match"), headers.get("If-None-Match")
    )
    return PlayRequest(account, address, name, wish, probe=request.method == "HEAD")


def new_record(request: web.Request, now: datetime) -> PlaybackRecord:
    """Begin the audit line of a signed-in account's request."""
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

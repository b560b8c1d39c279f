"""From what a delivery said when it failed to the cause, by the sentences of `mcp_sim`. Pure.

A sentence begins with who refused (``the store …``, ``the processor …``); its tests make every one
of these errors and see where it leads.
"""

from __future__ import annotations

import re
from typing import Final

from reclab.recover.causes import Cause

_ANSWERED = re.compile(r"answered (\d{3})")
_NO_SUCH_PLACE = (404, 405, 410)
_REFUSED_FOR_GOOD = (400, 411, 413, 414, 415, 422)
#: What decides alone, whoever said it; the first that fits counts.
_SENTENCES: Final = (
    ("holds another object", Cause.CONFLICT),
    ("it has another recording of that id", Cause.CONFLICT),
    ("spool key", Cause.SPOOL_KEY_GONE),
    ("its file is gone", Cause.MEDIA_MISSING),
    ("was changed in the spool", Cause.MEDIA_DAMAGED),
    ("cannot be read from the spool", Cause.MEDIA_DAMAGED),
    ("has no media.bin", Cause.MEDIA_MISSING),
    ("has no item.json", Cause.METADATA_MISSING),
    ("cannot be read:", Cause.METADATA_UNPARSABLE),
)
_ELSEWHERE = (
    "is not an answer of a recording processor",
    "another address is not followed",
    "is not a URL that",
    "has no place for",
)
#: By who said it: down, address, credentials, refused for good.
_STORE: Final = (
    Cause.STORAGE_DOWN,
    Cause.STORAGE_ADDRESS,
    Cause.STORAGE_CREDENTIALS,
    Cause.STORAGE_REFUSED,
)
_PROCESSOR: Final = (
    Cause.PROCESSOR_DOWN,
    Cause.PROCESSOR_ADDRESS,
    Cause.PROCESSOR_CREDENTIALS,
    Cause.INDEXER_REFUSED,
)
ADDRESSES: Final = {
    **dict.fromkeys(_STORE[:3], Cause.STORAGE_ADDRESS),
    **dict.fromkeys(_PROCESSOR[:3], Cause.PROCESSOR_ADDRESS),
}
"""What a cause is where it turns out that the address was wrong."""


def cause_of(fault: str) -> Cause:
    """Return the cause that the text of a failure tells; `OTHER` where it tells none."""
    for part, cause in _SENTENCES:
        if part in fault:
            return cause
    at_store, at_processor = fault.find("the store"), fault.find("the processor")
    if at_store < 0 and at_processor < 0:
        return Cause.OTHER
    of_store = at_processor < 0 or 0 <= at_store < at_processor
    down, address, credentials, refused = _STORE if of_store else _PROCESSOR
    if "sign-in was refused" in fault:
        return credentials
    status = _status(fault)
    if status in _NO_SUCH_PLACE or any(part in fault for part in _ELSEWHERE):
        return address
    return refused if status in _REFUSED_FOR_GOOD else down


def _status(fault: str) -> int:
    found = _ANSWERED.search(fault)
    return int(found[1]) if found else 0

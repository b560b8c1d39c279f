"""A URL as it may be told: without a user and a password.

Profiles hold credentials apart; somebody may still have put them into a URL.
"""

from __future__ import annotations

import re

# Up to the last @ before the path: a password may hold one that nobody quoted.
_USER = re.compile(r"^([a-z][a-z0-9+.-]*://)[^/?#]*@", re.IGNORECASE)


def public_url(url: str) -> str:
    """Return `url` without what stands before the host."""
    return _USER.sub(r"\1", url)

"""The options of a profile that say how its certificates are judged and its calls end, strictly.

What is not one of the known values is refused by name: a guess could encrypt for the wrong
certificate, or not at all.
"""

from __future__ import annotations

from mcp_sim.config import LARGEST_KEY_BITS, SMALLEST_KEY_BITS
from recording_format.ivr_profile import IvrProfile

ENCRYPTION_OFF = "lab.unencrypted"
SKIP_UNUSABLE = "lab.skip-unusable"
TRUST_SELF_SIGNED = "lab.trust-self-signed"
CA_FILE = "mediamgr.CA_file"
MINIMUM_KEY_BITS = "lab.minimum-key-bits"
ALLOW_SHA1 = "lab.allow-sha1"
RTP_TIMEOUT = "lab.rtp-timeout"

LONGEST_RTP_TIMEOUT = 86400

_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class ProfileOptionError(Exception):
    """A profile's option has no value that can be followed; the text names the option."""


def profile_flag(profile: IvrProfile, name: str) -> bool:
    """Return what a service parameter says, false without it. Raises `ProfileOptionError`."""
    return _flag(name, profile.fixed(name), without=False)


def overridden_flag(profile: IvrProfile, name: str, platform: bool) -> bool:
    """Return the profile's override of ``[mpc] name``, else the platform's value.

    Raises `ProfileOptionError`.
    """
    return _flag(name, profile.override("mpc", name), without=platform)


def overridden_key_bits(profile: IvrProfile, name: str, platform: int) -> int:
    """Return the profile's override of ``[mpc] name``, else the platform's value.

    Raises `ProfileOptionError`.
    """
    said = profile.override("mpc", name)
    if not said:
        return platform
    readable = said.isascii() and said.isdecimal() and len(said) <= len(str(LARGEST_KEY_BITS))
    if not readable or not SMALLEST_KEY_BITS <= int(said) <= LARGEST_KEY_BITS:
        raise ProfileOptionError(
            f"{name} is {said[:40]!r}, not a number from {SMALLEST_KEY_BITS} to {LARGEST_KEY_BITS}"
        )
    return int(said)


def overridden_seconds(profile: IvrProfile, name: str, platform: float) -> float:
    """Return the profile's override of ``mpc.<name>`` in whole seconds, else the platform's value.

    Raises `ProfileOptionError`.
    """
    said = profile.override("mpc", name)
    if not said:
        return platform
    readable = said.isascii() and said.isdecimal() and len(said) <= len(str(LONGEST_RTP_TIMEOUT))
    if not readable or int(said) > LONGEST_RTP_TIMEOUT:
        raise ProfileOptionError(
            f"{name} is {said[:40]!r}, not a number of seconds from 0 to {LONGEST_RTP_TIMEOUT}"
        )
    return float(said)


def _flag(name: str, said: str | None, *, without: bool) -> bool:
    if not said:
        return without
    value = _FLAGS.get(said.lower())
    if value is None:
        raise ProfileOptionError(f"{name} is {said[:40]!r}, not true or false")
    return value

"""The errors of SIP signalling, told apart by what the caller can do about them.

SipError
├── BadMessage          the peer's bytes are no SIP message that can be worked with
├── CallError           this call cannot go on
│   ├── CallRefused     the peer answered the request with a final response of 300 or above
│   ├── CallTimeout     nobody answered in time; trying again may help
│   ├── CallGone        the call has ended (or is not answered yet), so the step is not possible
│   └── CallBusy        an offer is open on either side; trying again shortly helps
├── TransportFailed     the bytes could not be handed to the network; trying again may help
└── BodyError           a body (SDP, multipart, rs-metadata, MSML) is not what it claims to be
    └── NoCommonCodec   the offer has no audio line that can be taken (answer 488)
"""

from __future__ import annotations

import re

_REASON_TEXT = re.compile(r';\s*text\s*=\s*"((?:[^"\\]|\\.)*)"', re.IGNORECASE)


class SipError(Exception):
    """Root of this package's errors; the message is one plain sentence."""


class CallError(SipError):
    """A call cannot go on."""


class CallRefused(CallError):
    """The peer refused a request: `code` and `reason` are those of its final response."""

    def __init__(self, code: int, reason: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(f"the peer answered {code} {reason}")
        self.code = code
        self.reason = reason
        self.headers = headers

    @property
    def cause(self) -> str:
        """The text of the peer's ``Reason`` header (RFC 3326), "" when it gave none."""
        for name, value in self.headers:
            found = _REASON_TEXT.search(value) if name.lower() == "reason" else None
            if found:
                return re.sub(r"\\(.)", r"\1", found[1])
        return ""


class CallTimeout(CallError):
    """No final response came in time."""


class CallGone(CallError):
    """The call has ended, or is not in the state that the step needs."""


class CallBusy(CallError):
    """An offer of either side is still open, so a new one has to wait (RFC 3261 §14.1)."""


class TransportFailed(SipError):
    """The message could not be sent to its next hop."""


class BodyError(SipError):
    """A message body is malformed, too large or incomplete."""


class NoCommonCodec(BodyError):
    """No audio line of the offer has a codec and a transport that can be taken."""

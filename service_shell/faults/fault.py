"""One fault: what is broken, how, how often and when. Data only.

`on` says what has the fault. All times are seconds; those of `begin` and `end` count from the
moment in which the plan was put in force.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeAlias, get_args

import msgspec
from msgspec import Meta

Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Seconds = Annotated[float, Meta(ge=0.0, le=86_400.0)]
Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]
Status = Annotated[int, Meta(ge=400, le=599)]
Name = Annotated[str, Meta(max_length=80, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]

HttpKind: TypeAlias = Literal[
    "status", "latency", "bandwidth", "cut", "length", "full", "auth", "down", "stall"
]
PlatformKind: TypeAlias = Literal[
    "crash", "capture-crash", "render-crash", "disk-full", "slow-disk", "clock-jump"
]
CertificateKind: TypeAlias = Literal[
    "expired", "not-yet-valid", "wrong-ca", "ruined", "key-missing"
]

KINDS: dict[str, tuple[str, ...]] = {
    "store": get_args(HttpKind),
    "processor": get_args(HttpKind),
    "crypto": get_args(HttpKind),
    "mcp": get_args(PlatformKind),
}
"""What can be broken in each service."""


class _Fault(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag_field="on",
):
    """What every fault has.

    It strikes an operation with `probability`, not the first `skip` of them, and at most `times`
    in all (0: no limit), from `begin` until `end` (0: for ever). `name` tells faults apart.
    """

    name: Name = ""
    probability: Share = 1.0
    skip: Count = 0
    times: Count = 0
    begin: Seconds = 0.0
    end: Seconds = 0.0

    target: ClassVar[str] = ""

    def __post_init__(self) -> None:
        if self.end and self.end <= self.begin:
            raise ValueError(f"`end` of a fault on the {self.target} is not after its `begin`")

    def lasts(self, elapsed: float) -> bool:
        """Return whether the fault is in force `elapsed` seconds after its plan was."""
        return self.begin <= elapsed and (not self.end or elapsed < self.end)


class _HttpFault(_Fault, frozen=True, kw_only=True):
    """A fault of an HTTP service; an operation is one request.

    | kind | what a client sees |
    |---|---|
    | status | the answer `status`, with ``Retry-After`` where `retry_after` is given |
    | latency | the answer begins `seconds`, and up to `jitter` more, later |
    | bandwidth | bodies pass, in both directions, with `bytes_per_second` |
    | cut | a body of more than `after_bytes`, in either direction, ends there with a reset |
    | length | the answer's ``Content-Length`` is wrong by `by_bytes`; then the connection ends |
    | full | 507, for requests that store something |
    | auth | 401, whatever the password |
    | down | the connection is reset, nothing is answered |
    | stall | nothing is answered for `seconds`, then the connection is reset |

    `match` limits it to requests: a method or ``*``, a space, and a path in which ``*`` stands for
    any characters.
    """

    kind: HttpKind
    match: Annotated[str, Meta(max_length=400, pattern=r"^(\*|[A-Z]+) /.*$")] = "* /*"
    status: Status = 503
    retry_after: Seconds | None = None
    seconds: Seconds = 1.0
    jitter: Seconds = 0.0
    bytes_per_second: Annotated[int, Meta(ge=1)] = 10_000
    after_bytes: Count = 0
    by_bytes: Annotated[int, Meta(ge=-1_000_000, le=1_000_000)] = -1


class StoreFault(_HttpFault, frozen=True, kw_only=True, tag="store"):
    """A fault of the WebDAV store."""

    target: ClassVar[str] = "store"


class ProcessorFault(_HttpFault, frozen=True, kw_only=True, tag="processor"):
    """A fault of the recording processor."""

    target: ClassVar[str] = "processor"


class CryptoFault(_HttpFault, frozen=True, kw_only=True, tag="crypto"):
    """A fault of the crypto server."""

    target: ClassVar[str] = "crypto"


class PlatformFault(_Fault, frozen=True, kw_only=True, tag="mcp"):
    """A fault inside the media control platform.

    | kind | operation | what happens |
    |---|---|---|
    | crash | the moment `begin` | the main process is killed (SIGKILL) |
    | capture-crash | the moment `begin` | a capture process is killed |
    | render-crash | a render | its worker is killed in the middle of it |
    | disk-full | a write of a journal or a sealed file | it fails with ENOSPC |
    | slow-disk | a write or fsync | it takes `seconds` longer |
    | clock-jump | the moment `begin` | the wall clock is `seconds_ahead` ahead (or behind) |
    """

    target: ClassVar[str] = "mcp"
    kind: PlatformKind
    seconds: Seconds = 1.0
    seconds_ahead: Annotated[float, Meta(ge=-1e9, le=1e9)] = 3600.0


class CertificateFault(_Fault, frozen=True, kw_only=True, tag="certificates"):
    """A fault of an IVR profile's certificate number `certificate` (0: of all of them).

    ``key-missing`` takes the certificate's key out of the keystore.
    """

    target: ClassVar[str] = "certificates"
    kind: CertificateKind
    certificate: Annotated[int, Meta(ge=0, le=1000)] = 0


class RtpFault(_Fault, frozen=True, kw_only=True, tag="rtp"):
    """Impairments of the load generator's RTP: those of `impairment`, on `leg`.

    `impairment` is what ``reclab load --impair`` takes, as a table.
    """

    target: ClassVar[str] = "rtp"
    leg: Literal["customer", "agent", "both"] = "both"
    impairment: dict[str, float | int | bool | str] = {}


HttpFault: TypeAlias = StoreFault | ProcessorFault | CryptoFault
Fault: TypeAlias = HttpFault | PlatformFault | CertificateFault | RtpFault


def kind_of(fault: Fault) -> str:
    """Return the fault's kind; impairments have none of their own."""
    return "impairment" if isinstance(fault, RtpFault) else fault.kind

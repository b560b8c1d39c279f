"""A capture process: receives the RTP of many calls and appends it to their journals, nothing else.

``python -m mcp_sim.recording.capture.process FD`` is started by the SIP front, which holds the
other end of the socket pair FD. It lives as long as that: when the front closes its end, or is
killed, all that waits is written, every journal is closed, and the process ends. SIGINT and SIGTERM
are the front's business and are ignored here.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys

from mcp_sim.recording.capture.loop import serve
from mcp_sim.recording.capture.messages import Configure, MessageError
from mcp_sim.recording.capture.options import CaptureOptions
from mcp_sim.recording.capture.pipe import CapturePipe
from service_shell.descriptors import raise_descriptor_limit
from service_shell.log import configure_logging

_RESERVED_DESCRIPTORS = 64
_CONFIGURE_TIMEOUT = 30.0


def main(argv: list[str]) -> int:
    """Serve the socket pair whose descriptor is ``argv[0]``; return the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.umask(0o077)
    with socket.socket(fileno=int(argv[0])) as end:
        pipe = CapturePipe(end)
        configure = _first_message(pipe)
        if configure is None:
            return 1
        configure_logging("capture", configure.log)
        capacity = leg_capacity(raise_descriptor_limit(), configure.options)
        serve(pipe, configure, capacity)
    return 0


def leg_capacity(descriptors: int, options: CaptureOptions) -> int:
    """Return how many legs can be taken even when every call has one leg and one journal."""
    capacity = (descriptors - _RESERVED_DESCRIPTORS) // 2
    if options.first_port or options.last_port:
        capacity = min(capacity, (options.last_port - options.first_port) // 2 + 1)
    return min(capacity, options.legs) if options.legs else capacity


def _first_message(pipe: CapturePipe) -> Configure | None:
    readable, _, _ = select.select([pipe], [], [], _CONFIGURE_TIMEOUT)
    if not readable:
        return None
    try:
        first = next(pipe.requests(), None)
    except MessageError:
        return None
    return first if isinstance(first, Configure) else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A render worker: ``python -m mcp_sim.recording.render.worker``, started by the render pool.

Takes orders on standard input and answers on standard output, one recording at a time, until its
input ends. It holds the spool's lock as long as it lives. Signals are the pool's business.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import structlog

from mcp_sim.recording.disk_calls import DISK, DiskCalls, FaultyDisk
from mcp_sim.recording.keyring import SpoolKeyring
from mcp_sim.recording.render.messages import (
    RenderAnswer,
    RenderEmpty,
    RenderOrder,
    RenderPostponed,
    RenderRefused,
    RenderSettings,
    encode_message,
    options_decoder,
    order_decoder,
    read_message,
)
from mcp_sim.recording.render.render import EmptyRecordingError, RenderError, render
from mcp_sim.recording.spool.folders import SpoolFolders
from service_shell.log import configure_logging

_log = structlog.get_logger()
_NICE = 10


def main() -> int:
    """Serve until the input ends; return the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.umask(0o077)
    os.nice(_NICE)  # capture comes first
    orders, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints goes to the log, not between the answers
    body = read_message(orders)
    if body is None:
        return 0
    options = options_decoder.decode(body)
    configure_logging("render", options.log)
    keyring = SpoolKeyring.from_text(options.keyring, name="the keyring that the pool gave")
    spool = SpoolFolders(Path(options.spool))
    _serve(orders, answers, spool, keyring, options.settings)
    return 0


def _serve(
    orders: BinaryIO,
    answers: BinaryIO,
    spool: SpoolFolders,
    keyring: SpoolKeyring,
    settings: RenderSettings,
) -> None:
    faulty = FaultyDisk()
    while (body := read_message(orders)) is not None:
        order = order_decoder.decode(body)
        answer = _render(spool, order.item, keyring, settings, _disk(order, faulty))
        try:
            answers.write(encode_message(answer))
            answers.flush()
        except BrokenPipeError:
            with suppress(BrokenPipeError):
                answers.close()
            return  # the platform was killed meanwhile; its next start takes the item up


def _disk(order: RenderOrder, faulty: FaultyDisk) -> DiskCalls:
    """Return how this order's file is written: as always, unless it is to be broken on purpose."""
    faulty.follow(order.faults)
    if order.crash:
        return DiskCalls(_write_a_part_and_die)
    return faulty.calls if order.faults else DISK


def _write_a_part_and_die(descriptor: int, data: memoryview) -> int:
    os.write(descriptor, data[: len(data) // 2])
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def _render(
    spool: SpoolFolders, item: str, keyring: SpoolKeyring, settings: RenderSettings, disk: DiskCalls
) -> RenderAnswer:
    try:
        return render(spool, item, keyring, settings, disk)
    except EmptyRecordingError as error:
        return RenderEmpty(str(error))
    except RenderError as error:
        return RenderRefused(str(error))
    except OSError as error:
        return RenderPostponed(f"the disk refused: {os.strerror(error.errno or 0).lower()}")


if __name__ == "__main__":
    sys.exit(main())

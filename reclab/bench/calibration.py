"""What receiving one datagram costs on this machine with nothing around it.

The yardstick that makes figures of one run comparable: the kernel's share of capture is in both.
"""

from __future__ import annotations

import os
import socket
import statistics
import time

_PACKET = bytes(172)
_BATCH = 100
_ROUNDS = 300
_REPEATS = 5


def bare_receive_us() -> float:
    """Return CPU microseconds per 172-byte datagram received in a plain loop (median of five)."""
    return statistics.median(_once() for _ in range(_REPEATS))


def _once() -> float:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", 0))
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        receiver.setblocking(False)
        sender.connect(receiver.getsockname())
        buffer = bytearray(2048)
        spent = 0.0
        count = 0
        for _ in range(_ROUNDS):
            for _ in range(_BATCH):
                sender.send(_PACKET)
            began = time.process_time()
            count += _drain(receiver, buffer)
            spent += time.process_time() - began
    if not count:
        raise OSError(os.strerror(5))
    return spent / count * 1e6


def _drain(receiver: socket.socket, buffer: bytearray) -> int:
    count = 0
    while True:
        try:
            receiver.recvmsg_into([buffer], 64)
        except BlockingIOError:
            return count
        count += 1

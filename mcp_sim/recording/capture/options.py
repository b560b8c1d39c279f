"""What a capture process is told when it starts."""

from __future__ import annotations

import msgspec


class CaptureOptions(msgspec.Struct, frozen=True):
    """Where RTP is received, how often sockets are emptied and journals written, and the limits.

    - `host` and `first_port`..`last_port` (even ones are used; 0 and 0: the kernel chooses)
    - `tick` and `flush` in seconds. What is lost when the process is killed is at most their sum.
    - `call_buffer`, `total_buffer`: bytes that may wait for a slow disk, per call and in all
    - `socket_buffer`: bytes asked for each socket's queue
    - `legs`: the most legs at a time; 0 is as many as descriptors and ports allow
    - `sync`: wait for stable storage when a journal is closed
    """

    host: str = "127.0.0.1"
    first_port: int = 0
    last_port: int = 0
    tick: float = 0.1
    flush: float = 0.5
    call_buffer: int = 4 << 20
    total_buffer: int = 256 << 20
    socket_buffer: int = 256 << 10
    legs: int = 0
    sync: bool = False

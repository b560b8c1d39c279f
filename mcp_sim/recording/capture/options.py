"""What a capture process is told when it starts."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Durability: TypeAlias = Literal["process", "call", "power"]
"""What journals survive.

``process``: the death of any process; the kernel writes them to the disk when it likes.
``call``: also a power loss after the end of the call. ``power``: also one in the middle of it.
"""


class CaptureOptions(msgspec.Struct, frozen=True):
    """Where RTP is received, how often sockets are emptied and journals written, and the limits.

    - `host` and `first_port`..`last_port` (even ones are used; 0 and 0: the kernel chooses)
    - `tick` and `flush` in seconds. What is lost when the process is killed is at most their sum.
    - `call_buffer`, `total_buffer`: bytes that may wait for a slow disk, per call and in all
    - `socket_buffer`: bytes asked for each socket's queue
    - `legs`: the most legs at a time; 0 is as many as descriptors and ports allow
    - `durability`: when journals are on stable storage, see `Durability`
    - `faults`: faults on purpose are allowed
    - `sync_pause`: with ``power``, seconds from the end of one sync to the next
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
    durability: Durability = "process"
    sync_pause: float = 0.2
    faults: bool = False

"""recvmmsg(2) by ctypes: many datagrams of one socket per call, each with the kernel's time stamp.

Python has no such call. The message headers, buffers and control buffers are numpy arrays in the
layout of the 64-bit Linux ABI, so that lengths, stamps and drop counters come out as columns. The
calls never block and keep the GIL: handing it over for a microsecond would cost more than that.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import sys

import numpy as np
import numpy.typing as npt

from mcp_sim.rtp.kernel_clock import SO_TIMESTAMPNS

SO_RXQ_OVFL = 40
_MMSGHDR = np.dtype(
    [
        ("name", "u8"),
        ("namelen", "u4"),
        ("pad0", "u4"),
        ("iov", "u8"),
        ("iovlen", "u8"),
        ("control", "u8"),
        ("controllen", "u8"),
        ("flags", "i4"),
        ("pad1", "u4"),
        ("len", "u4"),
        ("pad2", "u4"),
    ]
)
_HEADER_SIZE = 64
_CONTROL_SIZE = 64
_STAMP_SIZE = 32  # cmsghdr 16, timespec 16
_DROPS_AT = _STAMP_SIZE + 16

assert _MMSGHDR.itemsize == _HEADER_SIZE
if sys.maxsize < 1 << 32:
    raise ImportError("batched receiving needs a 64-bit system")

_recvmmsg = ctypes.PyDLL(None, use_errno=True).recvmmsg
_recvmmsg.argtypes = (
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_uint,
    ctypes.c_int,
    ctypes.c_void_p,
)
_recvmmsg.restype = ctypes.c_int
_NO_WAIT = int(socket.MSG_DONTWAIT)


def ask_for_stamps(udp: socket.socket) -> None:
    """Have the kernel stamp each datagram of this socket, and count what its queue dropped."""
    udp.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    udp.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)


class MessageBlock:
    """Room for `slots` received datagrams of up to `slot_size` bytes."""

    def __init__(self, slots: int, slot_size: int) -> None:
        self.slots = slots
        self.slot_size = slot_size
        self._data = np.zeros((slots, slot_size), np.uint8)
        self._control = np.zeros((slots, _CONTROL_SIZE), np.uint8)
        self._iov = np.zeros((slots, 2), np.uint64)
        self._headers = np.zeros(slots, _MMSGHDR)
        place = np.arange(slots, dtype=np.uint64)
        self._iov[:, 0] = self._data.ctypes.data + place * slot_size
        self._iov[:, 1] = slot_size
        self._headers["iov"] = self._iov.ctypes.data + place * 16
        self._headers["iovlen"] = 1
        self._headers["control"] = self._control.ctypes.data + place * _CONTROL_SIZE
        self._headers["controllen"] = _CONTROL_SIZE
        self._address = self._headers.ctypes.data

    def receive(self, descriptor: int, slot: int, most: int) -> int:
        """Fill up to `most` slots, beginning at `slot`; return how many. Raises `OSError`."""
        count: int = _recvmmsg(
            descriptor, self._address + slot * _HEADER_SIZE, most, _NO_WAIT, None
        )
        if count >= 0:
            return count
        number = ctypes.get_errno()
        if number in (errno.EAGAIN, errno.EINTR):
            return 0
        raise OSError(number, os.strerror(number))

    def lengths(self, count: int) -> npt.NDArray[np.int64]:
        """Return int64[count]: bytes per datagram, -1 where it was longer than a slot."""
        headers = self._headers[:count]
        lengths = headers["len"].astype(np.int64)
        lengths[(headers["flags"] & int(socket.MSG_TRUNC)) != 0] = -1
        return lengths

    def stamps(self, count: int) -> npt.NDArray[np.int64]:
        """Return int64[count]: the kernel's wall-clock stamps in ns, 0 where there is none."""
        words = self._control[:count].view(np.int64)
        stamps: npt.NDArray[np.int64] = words[:, 2] * 1_000_000_000 + words[:, 3]
        stamps[self._headers["controllen"][:count] < _STAMP_SIZE] = 0
        return stamps

    def drops(self, count: int) -> list[tuple[int, int]]:
        """Return (slot, datagrams that its socket has dropped until then) where the kernel says so.

        The kernel adds that message only to sockets that have dropped something.
        """
        told = np.flatnonzero(self._headers["controllen"][:count] > _STAMP_SIZE)
        counters = self._control[:, _DROPS_AT : _DROPS_AT + 4].view(np.uint32)
        return [(int(slot), int(counters[slot, 0])) for slot in told]

    def packed(self, count: int, lengths: npt.NDArray[np.int64]) -> bytes:
        """Return the datagrams one behind the other (`lengths` as given, -1 taken as 0)."""
        if not count:
            return b""
        longest = int(lengths.max())
        if longest <= 0:
            return b""
        rows = self._data[:count, :longest]
        if int(lengths.min()) == longest:
            return rows.tobytes()
        return rows[np.arange(longest) < lengths[:, None]].tobytes()

    def reset(self, count: int) -> None:
        """Make the first `count` slots ready to be filled again."""
        self._headers["controllen"][:count] = _CONTROL_SIZE

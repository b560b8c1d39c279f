"""RTP headers as columns, and counters without their wrapping."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_sim.rtp.packets import RtpPackets, header_sizes, parse_packets, unwrap


def header(first: int = 0x80, second: int = 8, sequence: int = 1, timestamp: int = 160) -> bytes:
    return struct.pack("!BBHII", first, second, sequence, timestamp, 0xCAFEBABE)


def parse(*datagrams: bytes, header_only: list[bool] | None = None) -> RtpPackets:
    length = np.array([len(d) for d in datagrams], np.int64)
    offset = np.cumsum(length) - length
    cut = None if header_only is None else np.array(header_only)
    return parse_packets(b"".join(datagrams), offset, length, cut)


def payloads(packets: RtpPackets, *datagrams: bytes) -> list[bytes]:
    data = b"".join(datagrams)
    spans = zip(packets.payload_offset.tolist(), packets.payload_length.tolist(), strict=True)
    return [data[start : start + size] for start, size in spans]


def test_header_fields_come_out_as_columns() -> None:
    """Each field of RFC 3550 §5.1 is read, big-endian, unsigned and for every datagram."""
    packets = parse(
        struct.pack("!BBHII", 0x80, 8, 65535, 0xFFFFFFFF, 1) + b"abc",
        struct.pack("!BBHII", 0x80, 0x80 | 101, 256, 1, 0xFFFFFFFF) + b"d",
    )
    assert packets.index.tolist() == [0, 1]
    assert packets.payload_type.tolist() == [8, 101]
    assert packets.marker.tolist() == [False, True]
    assert packets.sequence.tolist() == [65535, 256]
    assert packets.timestamp.tolist() == [0xFFFFFFFF, 1]
    assert packets.ssrc.tolist() == [1, 0xFFFFFFFF]
    assert packets.payload_length.tolist() == [3, 1]
    assert packets.payload_offset.tolist() == [12, 27]


def test_contributors_and_extension_are_no_payload() -> None:
    """CSRC identifiers and a header extension belong to the header."""
    plain = header() + b"plain"
    contributors = header(0x82) + bytes(8) + b"csrc"
    extended = header(0x90) + struct.pack("!HH", 0xBEDE, 2) + bytes(8) + b"extension"
    both = header(0x91) + bytes(4) + struct.pack("!HH", 0xBEDE, 0) + b"both"
    datagrams = (plain, contributors, extended, both)
    assert payloads(parse(*datagrams), *datagrams) == [b"plain", b"csrc", b"extension", b"both"]


def test_padding_is_removed() -> None:
    """The last byte of a padded packet says how many bytes are padding."""
    padded = header(0xA0) + b"voice" + b"\0\0\3"
    assert payloads(parse(padded), padded) == [b"voice"]


@pytest.mark.parametrize("count", [0, 9, 255])
def test_impossible_padding_is_no_packet(count: int) -> None:
    """Padding of no bytes, or of more than there are, makes the packet malformed."""
    assert len(parse(header(0xA0) + b"voice.." + bytes([count]), header() + b"good")) == 1


def test_cut_payload_is_not_asked_for_padding() -> None:
    """A packet whose payload was left out is a packet without payload, padding bit or not."""
    packets = parse(header(0xA0), header(0x80), header_only=[True, False])
    assert packets.payload_length.tolist() == [0, 0]


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\x80",
        header()[:11],
        header(0x40),
        header(0x00) + b"STUN-like",
        header(0x81) + b"123",
        header(0x90) + b"\0\0",
        header(0x90) + struct.pack("!HH", 1, 2) + bytes(7),
        header(second=200) + bytes(16),
        header(second=223),
    ],
    ids=["empty", "byte", "short", "version1", "stun", "csrc", "ext0", "ext2", "sr", "rtcp-end"],
)
def test_what_is_no_rtp_is_left_out(datagram: bytes) -> None:
    """Short, foreign and RTCP datagrams vanish; their neighbours stay, with their index."""
    good = header() + b"good"
    assert parse(good, datagram, good).index.tolist() == [0, 2]


def test_header_size_of_no_rtp_is_zero() -> None:
    """`header_sizes` answers for every datagram: its header's size, or 0."""
    data = header(0x81) + bytes(4) + b"x" + b"noise"
    sizes = header_sizes(data, np.array([0, 17]), np.array([17, 5]))
    assert sizes.tolist() == [16, 0]


@settings(max_examples=150)
@given(st.lists(st.binary(max_size=64) | st.binary(max_size=40).map(lambda b: header(0xB3) + b)))
def test_noise_never_raises_nor_leaves_its_datagram(datagrams: list[bytes]) -> None:
    """Whatever comes: no exception, and every payload lies within its own datagram."""
    packets = parse(*datagrams)
    length = np.array([len(d) for d in datagrams], np.int64)
    start = (np.cumsum(length) - length)[packets.index]
    end = packets.payload_offset + packets.payload_length
    assert (packets.payload_offset >= start + 12).all()
    assert (packets.payload_length >= 0).all()
    assert (end <= start + length[packets.index]).all()


@settings(max_examples=150)
@given(
    st.integers(0, 2**40),
    st.lists(st.integers(-(2**15) + 1, 2**15 - 1), min_size=1, max_size=50),
    st.integers(1, 49),
)
def test_unwrap_gives_back_what_was_wrapped(start: int, steps: list[int], cut: int) -> None:
    """A counter that moves by less than half its range at a time comes back, over batches too."""
    true = start + np.cumsum(np.array(steps, np.int64))
    wrapped = true & 0xFFFF
    whole = unwrap(wrapped, 16, previous=start)
    assert whole.tolist() == true.tolist()
    first = unwrap(wrapped[:cut], 16, previous=start)
    second = unwrap(wrapped[cut:], 16, previous=int(first[-1]))
    assert [*first.tolist(), *second.tolist()] == true.tolist()


def test_unwrap_without_history_keeps_the_first_value() -> None:
    """The first value ever stays as it is, and 32-bit counters pass their end."""
    values = np.array([2**32 - 160, 0, 160], np.int64)
    assert unwrap(values, 32).tolist() == [2**32 - 160, 2**32, 2**32 + 160]
    assert unwrap(np.array([], np.int64), 32).tolist() == []

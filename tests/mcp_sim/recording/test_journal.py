"""The journal's form: preamble, sealed frames, columns of packets, plans and events."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_sim.recording.journal.frames import (
    HEADER_SIZE,
    MAX_PAYLOAD,
    BrokenFrameError,
    EmptyJournalError,
    FrameKind,
    FrameOpener,
    FrameSealer,
    JournalError,
    decode_packets,
    decode_preamble,
    encode_packets,
    encode_preamble,
    new_preamble,
    open_session_key,
    parse_header,
    seal_session_key,
)
from mcp_sim.recording.keyring import SpoolKeyring
from mcp_sim.recording.plan import (
    Ended,
    Event,
    LegClosed,
    LegOpened,
    LegsPlaced,
    ParametersChanged,
    Paused,
    PlanError,
    RecordingPlan,
    Resumed,
    Started,
    decode_event,
    decode_plan,
    encode_event,
    encode_plan,
)
from recording_format.session_key import SessionKey
from tests.mcp_sim.recording.journals import RECIPIENTS, a_plan, columns

KEYRING = SpoolKeyring.generate()
KEY = SessionKey.generate()
PREAMBLE = new_preamble(seal_session_key(KEYRING, KEY), RECIPIENTS)


@pytest.mark.parametrize("bits", [128, 256])
def test_preamble_carries_recipients_and_the_sealed_key(bits: int) -> None:
    """Whoever has the keyring finds the session key; the preamble does not show it."""
    key = SessionKey.generate(bits)
    data = encode_preamble(new_preamble(seal_session_key(KEYRING, key), RECIPIENTS))
    preamble, size = decode_preamble(data + b"frames follow")
    assert size == len(data)
    assert preamble.recipients == RECIPIENTS
    assert open_session_key(KEYRING, preamble.key_box) == key
    assert key.secret not in data


def test_every_beginning_of_a_preamble_is_an_empty_journal() -> None:
    """A writer that was killed in its first write leaves an empty journal, no damaged one."""
    data = encode_preamble(PREAMBLE)
    for size in range(len(data)):
        with pytest.raises(EmptyJournalError):
            decode_preamble(data[:size])


@pytest.mark.parametrize(
    "data",
    [b"RIFF....WAVE", b"RECLABJ1\xff\xff\xff\xff", b"RECLABJ1\4\0\0\0junk", b"R!"],
)
def test_foreign_preamble_is_damage(data: bytes) -> None:
    """What is no journal is not taken for an empty one, which would be thrown away."""
    with pytest.raises(JournalError) as caught:
        decode_preamble(data)
    assert not isinstance(caught.value, EmptyJournalError)


def test_frames_open_in_their_own_journal_only() -> None:
    """A frame opens with key and preamble of its journal, and with no other."""
    frame = FrameSealer(KEY, PREAMBLE).seal(FrameKind.EVENT, b"content")
    assert FrameOpener(KEY, PREAMBLE).open(frame) == b"content"
    other = new_preamble(seal_session_key(KEYRING, KEY), RECIPIENTS)
    for opener in (FrameOpener(KEY, other), FrameOpener(SessionKey.generate(), PREAMBLE)):
        with pytest.raises(BrokenFrameError):
            opener.open(frame)


def test_every_bit_of_a_frame_is_protected() -> None:
    """Whichever byte of header or content is changed: the frame does not open."""
    frame = FrameSealer(KEY, PREAMBLE).seal(FrameKind.EVENT, b"content")
    opener = FrameOpener(KEY, PREAMBLE)
    for place in range(len(frame)):
        broken = bytearray(frame)
        broken[place] ^= 0x01
        with pytest.raises(BrokenFrameError):
            opener.open(bytes(broken))
    with pytest.raises(BrokenFrameError):
        opener.open(frame[:-1])
    with pytest.raises(BrokenFrameError):
        opener.open(frame[:HEADER_SIZE])


def test_equal_contents_are_sealed_differently() -> None:
    """The counter goes into each frame, so no two frames of a journal share a nonce."""
    sealer = FrameSealer(KEY, PREAMBLE)
    frames = [sealer.seal(FrameKind.PACKETS, b"the same") for _ in range(50)]
    headers = [parse_header(frame[:HEADER_SIZE]) for frame in frames]
    assert [header.counter for header in headers if header] == list(range(50))
    assert len({frame[HEADER_SIZE:] for frame in frames}) == 50


def test_overlong_payload_is_refused() -> None:
    """A frame that a reader would not take is not written."""
    with pytest.raises(JournalError, match="is too long"):
        FrameSealer(KEY, PREAMBLE).seal(FrameKind.PACKETS, bytes(MAX_PAYLOAD + 1))


@settings(max_examples=60)
@given(
    st.lists(
        st.lists(
            st.tuples(st.integers(-(2**62), 2**62), st.integers(0, 255), st.binary(max_size=300)),
            max_size=8,
        ),
        max_size=5,
    )
)
def test_packets_come_back_as_they_were(chunks: list[list[tuple[int, int, bytes]]]) -> None:
    """Any packets in any number of chunks: arrival, leg and bytes are what they were."""
    batch = decode_packets(encode_packets([columns(chunk) for chunk in chunks]))
    packets = [packet for chunk in chunks for packet in chunk]
    assert len(batch) == len(packets)
    got = [
        (int(batch.arrival_ns[i]), int(batch.leg[i]), batch.packet(i)) for i in range(len(batch))
    ]
    assert got == packets
    assert not batch.header_only.any()


def test_left_out_payload_is_marked() -> None:
    """A packet of which only the header was kept says so, and its length is the header's."""
    chunk = columns([(1, 0, b"h" * 12), (2, 0, b"whole")], [True, False])
    batch = decode_packets(encode_packets([chunk]))
    assert batch.header_only.tolist() == [True, False]
    assert batch.length.tolist() == [12, 5]
    assert batch.arrival_ns.dtype == np.int64


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_inconsistent_columns_are_a_broken_frame(payload: bytes) -> None:
    """Noise where packets should be raises one error of this package, or reads consistently."""
    try:
        batch = decode_packets(payload)
    except BrokenFrameError:
        return
    assert int(batch.length.sum()) == len(batch.data)


def test_columns_that_do_not_add_up_are_refused() -> None:
    """Lengths that do not sum up to the bytes there are, and a short head, are broken frames."""
    good = encode_packets([columns([(1, 0, b"voice")])])
    for broken in (good[:7], good[:-1], good + b"x", good.replace(b"\x05\0\0", b"\x04\0\0")):
        with pytest.raises(BrokenFrameError):
            decode_packets(broken)


@pytest.mark.parametrize(
    "event",
    [
        LegOpened(255, "label", {0: "pcmu", 101: "telephone-event"}, 8000, 1),
        LegClosed(3, 2, received=5),
        LegsPlaced({0: "right", 1: "left"}),
        Started(3, 4),
        Paused(5),
        Resumed(6),
        ParametersChanged({"agentId": "agent1"}),
        Ended(7, "bye"),
    ],
    ids=lambda event: type(event).__name__,
)
def test_events_come_back_as_they_were(event: Event) -> None:
    """Each kind of event survives the journal."""
    assert decode_event(encode_event(event)) == event


def test_plan_comes_back_with_its_sealed_profile() -> None:
    """A plan survives the journal, the profile's box with it."""
    plan = a_plan()
    sealed = RecordingPlan(
        **{name: getattr(plan, name) for name in plan.__struct_fields__ if name != "profile_box"},
        profile_box=KEYRING.seal(b"profile"),
    )
    assert decode_plan(encode_plan(plan)) == plan
    assert decode_plan(encode_plan(sealed)) == sealed


def test_impossible_leg_number_is_refused() -> None:
    """A leg that does not fit the journal's column is no leg."""
    with pytest.raises(ValueError, match=r"leg 256 is outside 0\.\.255"):
        LegOpened(256, "1", {}, 8000, 1)


def test_what_is_no_plan_or_event_is_told() -> None:
    """Foreign bytes raise this package's error."""
    with pytest.raises(PlanError, match="a recording plan cannot be read"):
        decode_plan(b"\x80")
    with pytest.raises(PlanError, match="a recording event cannot be read"):
        decode_event(encode_plan(a_plan()))


def test_plan_and_changes_show_no_values() -> None:
    """A parameter's value may be a password: neither plan nor change shows one in its repr."""
    changed = ParametersChanged({"rp.speechminer_auth": "user:hunter2"})
    plan = msgspec.structs.replace(a_plan(), parameters=changed.parameters)
    assert "hunter2" not in f"{plan!r} {changed!r} {[plan, changed]!r}"
    assert "rp.speechminer_auth" in repr(changed)

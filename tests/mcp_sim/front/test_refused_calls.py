"""Calls that are not taken: status, Reason, Retry-After, what is kept of it, and nothing left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from mcp_sim.profiles import ProfileBook, ProfileEdition
from mcp_sim.refusals import CallNotTaken
from mcp_sim.sip import CallRefused
from mcp_sim.sip.sdp import Codec
from reclab.pki import utc_now
from recording_format.ivr_profile import IvrProfile
from tests.mcp_sim.front.callers import Caller, Stream, calling, hang_up, sdp
from tests.mcp_sim.front.fake_capture import Desk, front_desk
from tests.mcp_sim.front.pki import fresh_pair, profile, stranger, with_options

G729 = Stream(codec=Codec(18, "g729"))


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with front_desk(tmp_path) as running:
        yield running


@pytest.fixture
async def caller(desk: Desk) -> AsyncIterator[Caller]:
    async with calling(desk.address) as far_end:
        yield far_end


Offered = tuple[tuple[Stream, ...], int | None, bytes | None, str]


def offer(
    *streams: Stream,
    dbid: int | None = None,
    body: bytes | None = None,
    kind: str = "application/sdp",
) -> Offered:
    return streams, dbid, body, kind


@pytest.mark.parametrize(
    ("status", "cause", "reason", "placed"),
    [
        (488, "codec", "no audio line", offer(G729)),
        (488, "codec", "no audio line", offer(Stream(port=0))),
        (400, "malformed", "does not begin with v=0", offer(body=b"nonsense")),
        (400, "malformed", "names no boundary", offer(body=b"--x", kind="multipart/mixed")),
        (415, "body", "'application/isup' is no session description",
         offer(body=b"\x01", kind="application/isup")),
        (404, "profile", "there is no IVR profile with DBID 999", offer(dbid=999)),
    ],
)  # fmt: skip
async def test_what_cannot_be_taken(
    desk: Desk,
    caller: Caller,
    status: int,
    cause: str,
    reason: str,
    placed: Offered,
) -> None:
    """Each fault has its status, and the same sentence in the answer and in the list."""
    streams, dbid, body, kind = placed
    with pytest.raises(CallRefused) as refused:
        await caller.plain(*streams, dbid=dbid, body=body, kind=kind)
    await check(desk, refused.value, status, cause, reason)


async def check(desk: Desk, error: CallRefused, status: int, cause: str, reason: str) -> None:
    """See that a refusal is told alike everywhere and left nothing behind."""
    headers = dict(error.headers)
    assert error.code == status
    newest = desk.refusals.newest[0]
    assert (newest.status, newest.cause, newest.source) == (status, cause, "127.0.0.1")
    assert reason in newest.reason
    assert headers["Reason"] == f'SIP;cause={status};text="{newest.reason}"'
    assert ("Retry-After" in headers) == (status == 503)
    assert ("Accept" in headers) == (status == 415)
    await desk.idle()
    assert (desk.in_spool, desk.captured, desk.capture.asked) == ([], [], [])


def changed(**said: str) -> IvrProfile:
    """The usual profile with other service parameters."""
    made = profile(fresh_pair().certificate_pem)
    return with_options(made, {key.replace("__", "."): value for key, value in said.items()})


OVERRIDE = "recordingclient.gvp.config.mpc."
MINIMUM_BITS = OVERRIDE + "lab.minimum-key-bits"


@pytest.mark.parametrize(
    ("chosen", "cause", "reason"),
    [
        (lambda: profile(), "no-certificate", "has no certificates"),
        (lambda: profile(stranger().certificate_pem), "certificate-untrusted", "recording"),
        (lambda: profile("ruined"), "certificate-unreadable", "certificates-1"),
        (lambda: changed(recordingclient__recdest=""), "profile-option", "recdest"),
        (lambda: changed(recordingclient__recdest="ftp://x"), "profile-option", "recdest"),
        (lambda: changed(recordingclient__callrec_dest="http://["), "profile-option", "callrec"),
        (lambda: changed(recordingclient__type="audio/ogg"), "profile-option", "'audio/ogg'"),
        (lambda: changed(recordingclient__filename="$nobody$"), "profile-option", "$nobody$"),
        (lambda: changed(**{OVERRIDE + "record.channels": "5.1"}), "profile-option", "'5.1'"),
        (lambda: changed(**{OVERRIDE + "lab.cipher": "des"}), "profile-option", "'des'"),
        (lambda: changed(**{MINIMUM_BITS: "4096"}), "certificate-key-too-small", "2048"),
        (lambda: changed(**{MINIMUM_BITS: "many"}), "profile-option", "minimum-key-bits"),
        (lambda: changed(**{OVERRIDE + "mediamgr.CA_file": "/nowhere"}), "ca-file", "/nowhere"),
        (lambda: changed(**{OVERRIDE + "lab.allow-sha1": "x"}), "profile-option", "allow-sha1 is"),
        (lambda: changed(**{"lab.trust-self-signed": "x"}), "profile-option", "self-signed is 'x'"),
    ],
)  # fmt: skip
async def test_profile_that_cannot_be_followed(
    desk: Desk, caller: Caller, chosen: object, cause: str, reason: str
) -> None:
    """A profile that would spoil the recording refuses it at once, with the option's name: 403."""
    assert callable(chosen)
    desk.book.update(ProfileEdition(2, [chosen()]))
    with pytest.raises(CallRefused) as refused:
        await caller.plain()
    await check(desk, refused.value, 403, cause, reason)


async def test_certificates_are_judged_at_each_call(desk: Desk, caller: Caller) -> None:
    """As time goes by, one profile is refused, taken and refused again; what runs is left alone."""
    certificate = fresh_pair().certificate
    day = timedelta(days=1)
    running = await caller.plain()
    for moment, cause in (
        (certificate.not_valid_before_utc - day, "certificate-not-yet-valid"),
        (certificate.not_valid_after_utc + day, "certificate-expired"),
    ):
        desk.reception._now = lambda moment=moment: moment  # type: ignore[misc]  # bound now
        with pytest.raises(CallRefused) as refused:
            await caller.plain()
        assert refused.value.code == 403
        assert desk.refusals.newest[0].cause == cause
        assert desk.counted(cause) == 1
        assert [call.id for call in desk.calls.running] == [running.uuid]
    desk.reception._now = utc_now
    again = await caller.plain()
    await hang_up(running, again)
    await desk.idle()
    assert len(desk.captured) == 2


async def test_no_profile_for_a_call_without_a_dbid(desk: Desk, caller: Caller) -> None:
    """With profiles, none of which records, the call is refused with 404."""
    quiet = profile(fresh_pair().certificate_pem)
    quiet.sections["gvp.general"].clear()
    desk.book.update(ProfileEdition(2, [quiet]))
    with pytest.raises(CallRefused) as refused:
        await caller.plain()
    await check(desk, refused.value, 404, "profile", "there is no IVR profile for this call")


async def test_before_the_profiles_came(desk: Desk, caller: Caller) -> None:
    """Until profiles are loaded the platform asks to try again: 503, and not 404."""
    desk.reception._book = ProfileBook()
    with pytest.raises(CallRefused) as refused:
        await caller.plain(dbid=101)
    await check(desk, refused.value, 503, "profile", "no profiles are loaded yet")


async def test_no_capture_process(desk: Desk, caller: Caller) -> None:
    """While no capture process is up, calls are asked to come again."""
    desk.calls._fleet._clients.clear()
    with pytest.raises(CallRefused) as refused:
        await caller.plain()
    await check(desk, refused.value, 503, "capture", "no capture process is up")


async def test_second_party_without_a_codec(desk: Desk, caller: Caller) -> None:
    """A party that cannot be taken changes nothing for the conference."""
    first = await caller.gir("conference", "1")
    body = sdp(G729)
    with pytest.raises(CallRefused) as refused:
        await caller.sip.invite(desk.address, uri=f"sip:msml=conference@{caller.at}", body=body)
    assert refused.value.code == 488
    assert len(desk.calls.running[0].dialogs) == 1
    await hang_up(first)
    await desk.idle()
    assert len(desk.captured) == 1


async def test_newest_refusals_are_kept(desk: Desk, caller: Caller) -> None:
    """The list is bounded, newest first; the counter counts all."""
    for number in range(250):
        with pytest.raises(CallRefused):
            await caller.plain(dbid=1000 + number)
    newest = desk.refusals.newest
    assert len(newest) == 200
    assert "1249" in newest[0].reason
    assert "1050" in newest[-1].reason


@pytest.mark.parametrize(
    ("sentence", "quoted"),
    [
        ('profile "a\\b"', "profile 'a'b'"),
        ("two\r\nlines", "two'lines"),
        ("Müller", "Müller"),
    ],
)
def test_reason_is_one_quoted_text(sentence: str, quoted: str) -> None:
    """Whatever a profile's name holds, it cannot end the header or begin another."""
    headers = CallNotTaken(403, "profile", sentence).headers
    assert headers == [("Reason", f'SIP;cause=403;text="{quoted}"')]

"""A profile that changes: running calls keep theirs, the next call has the new one in a second."""

from __future__ import annotations

import time
from pathlib import Path

from mcp_sim.profiles import ProfileEdition
from mcp_sim.recording.keyring import SpoolKeyring
from reclab.pki import Pair, new_recording_certificate, utc_now
from recording_format.certificates import RecordingCertificate, certificate_alias
from recording_format.envelope import Envelope
from recording_format.ivr_profile import IvrProfile
from recording_format.metadata import decode_metadata
from tests.mcp_sim.front.callers import Placed, calling, hang_up
from tests.mcp_sim.front.pki import fresh_authority, fresh_pair, with_options
from tests.mcp_sim.front.recorder import ENCRYPTED, Recorder, running_recorder, until
from tests.mcp_sim.front.test_profiles import FakeProcessor, following

CHANNELS = "recordingclient.gvp.config.mpc.record.channels"


def renamed(profile: IvrProfile, name: str) -> IvrProfile:
    return IvrProfile(profile.dbid, name, profile.tenant, profile.sections)


async def test_running_call_keeps_its_profile(tmp_path: Path) -> None:
    """The profile's name and the media type are those in force when the call began."""
    async with running_recorder(tmp_path) as recorder, calling(recorder.address) as caller:
        older = await caller.siprec(dbid=ENCRYPTED)
        changed = renamed(recorder.profile(ENCRYPTED), "changed")
        with_options(changed, {"recordingclient.type": "audio/mp3", CHANNELS: "mono"})
        recorder.publish(changed)
        newer = await caller.siprec(dbid=ENCRYPTED)
        await hang_up(older, newer)
        before, after = [await recorder.recording(p.uuid) for p in (older, newer)]
        assert (before.ivrprofile, before.type) == ("profile 101", "audio/wav")
        assert (after.ivrprofile, after.type) == ("changed", "audio/mp3")
        assert before.media_id.endswith(".wav")
        assert after.media_id.endswith(".mp3")


SECOND = new_recording_certificate("Second recording", fresh_authority(), utc_now())


async def test_running_call_keeps_its_recipients_and_destinations(tmp_path: Path) -> None:
    """Who can open a recording, and where it goes, is decided when the call begins.

    Version 2 arrives while the call runs, and before its second party joins.
    """
    async with running_recorder(tmp_path) as recorder, calling(recorder.address) as caller:
        older = await caller.gir("conference", "1", dbid=ENCRYPTED)
        [call] = recorder.front.calls.running
        changed = with_options(
            recorder.profile(ENCRYPTED),
            {
                "recordingclient.recdest": f"{recorder.store.url}/recordings/second",
                "recordingclient.callrec_dest": f"{recorder.processor.url}/second/recordings",
            },
        )
        changed.sections["recording-certificates"]["certificates-1"] = SECOND.certificate_pem
        recorder.publish(changed)
        joined = await caller.gir("conference", "2", dbid=ENCRYPTED, uuid=older.uuid)
        newer = await caller.gir("other conference", "1", dbid=ENCRYPTED)
        await hang_up(older, joined, newer)
        before, after = [await recorder.recording(p.uuid) for p in (older, newer)]
    assert call.id == older.uuid
    for media, mine, other in ((before, fresh_pair(), SECOND), (after, SECOND, fresh_pair())):
        envelope = Envelope.from_pem(media.pkcs7 or "")
        assert envelope.has_recipient(read(mine))
        assert not envelope.has_recipient(read(other))
        assert media.cert_alias == [certificate_alias(read(mine), "Environment", 1)]
    assert "/recordings/second/" not in before.media_descriptor.path
    assert "/recordings/second/" in after.media_descriptor.path
    paths = {
        decode_metadata(post.body).media_files[0].media_id: post.path
        for post in recorder.processor.posts
    }
    assert paths == {before.media_id: "/recordings", after.media_id: "/second/recordings"}


def read(pair: Pair) -> RecordingCertificate:
    """The certificate of a pair as the platform reads it."""
    return RecordingCertificate.load(pair.certificate_pem, name="x")


async def test_call_ends_after_its_profile_was_removed(tmp_path: Path) -> None:
    """A recording whose profile is gone is delivered with the credentials of its beginning."""
    async with running_recorder(tmp_path) as recorder, calling(recorder.address) as caller:
        placed = await caller.siprec(dbid=ENCRYPTED)
        recorder.publish()
        await hang_up(placed)
        assert (await recorder.recording(placed.uuid)).ivrprofile == "profile 101"


async def test_corrected_password_serves_what_waits(tmp_path: Path) -> None:
    """A recording that waits for a wrong password is delivered when the profile is corrected."""
    async with running_recorder(tmp_path) as recorder, calling(recorder.address) as caller:
        wrong = with_options(
            recorder.profile(ENCRYPTED), {"recordingclient.httpauthorization": "mcp:wrong"}
        )
        recorder.publish(wrong)
        placed = await caller.siprec(dbid=ENCRYPTED)
        await hang_up(placed)
        await until(lambda: recorder.pipeline.deliveries.retries > 0)
        recorder.publish(recorder.profile(ENCRYPTED))
        await recorder.recording(placed.uuid)


async def test_next_call_has_the_new_profile_within_a_second(tmp_path: Path) -> None:
    """From the change at the processor to a call that is recorded by it: less than a second."""
    processor = FakeProcessor()
    async with running_recorder(tmp_path) as recorder, calling(recorder.address) as caller:
        processor.edition = ProfileEdition(1000, [recorder.profile(ENCRYPTED)])
        async with following(recorder.book, processor, tmp_path, SpoolKeyring.generate()):
            await until(lambda: recorder.book.version == 1000)
            older = await caller.siprec()
            changed = renamed(recorder.profile(ENCRYPTED), "changed")
            began = time.monotonic()
            await processor.publish(ProfileEdition(1001, [changed]))
            newer = await caller.siprec()
            while profile_of(recorder, newer) != "changed":
                await hang_up(newer)
                newer = await caller.siprec()
            assert time.monotonic() - began < 1.0
        assert profile_of(recorder, older) == "profile 101"
        await hang_up(older, newer)
        assert (await recorder.recording(older.uuid)).ivrprofile == "profile 101"
        assert (await recorder.recording(newer.uuid)).ivrprofile == "changed"


def profile_of(recorder: Recorder, placed: Placed) -> str:
    """The profile of a running call."""
    call = recorder.front.calls.get(placed.uuid)
    assert call is not None
    return call.plan.profile

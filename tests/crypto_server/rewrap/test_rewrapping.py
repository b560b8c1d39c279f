"""Recipients of stored recordings are added and removed, and nobody is locked out by accident."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from recording_format.cipher import MediaDecryptor
from recording_format.envelope import Envelope, RecipientInfo
from tests.crypto_server.keys import TENANT, KeyPair
from tests.crypto_server.recordings import MadeRecording, encrypted, mp3, plain, wav
from tests.crypto_server.rewrap.bench import Bench, ident, pair, paired
from tests.recording_format.authority import YEAR, issue, recorder, root, rsa_key

RECORDING = "00ABCDEF"
SOUND = wav(3000)


def opened(made: MadeRecording, one: KeyPair) -> bytes:
    """Return the plaintext of a stored media file with that key."""
    envelope = Envelope.from_pem(made.media["pkcs7"])
    decryptor = MediaDecryptor(envelope.unwrap(one.certificate, one.private_key), envelope.iv)
    return decryptor.update(made.stored) + decryptor.finalize()


async def test_the_new_is_added_and_the_old_removed(bench: Bench) -> None:
    """Renewal of an old recording: it opens with the new key, and no longer with the old one."""
    bench.catalogue.add(encrypted(SOUND, pair(1)))
    before = bench.catalogue.recordings[RECORDING][0]
    bench.add_key(1)
    bench.add_key(2)
    status, body = await bench.rewrap(RECORDING, add=[ident(2)], remove=[ident(1)])
    assert status == 200
    assert body["statusCode"] == 0
    assert body["tenant"] == TENANT
    [file] = body["mediaFiles"]
    assert file == {
        "mediaId": before.media["mediaId"],
        "changed": True,
        "added": [ident(2)],
        "removed": [ident(1)],
        "certAlias": [pair(2).alias],
        "verified": True,
    }
    after = bench.catalogue.recordings[RECORDING][0]
    assert opened(after, pair(2)) == SOUND
    assert not Envelope.from_pem(after.media["pkcs7"]).has_recipient(pair(1).certificate)
    unchanged = {name for name in before.media if name not in ("pkcs7", "certAlias")}
    assert {name: after.media[name] for name in unchanged} == {
        name: before.media[name] for name in unchanged
    }


async def test_the_other_recipients_stay_byte_for_byte(bench: Bench) -> None:
    """Who was a recipient before has the same RecipientInfo, and IV and cipher are the same."""
    bench.catalogue.add(encrypted(SOUND, pair(1), pair(3)))
    bench.add_key(1)
    bench.add_key(2)
    before = bench.catalogue.envelope(RECORDING)
    await bench.rewrap(RECORDING, add=[ident(2)])
    after = bench.catalogue.envelope(RECORDING)
    kept = {info.to_der() for info in before.recipients}
    assert kept < {info.to_der() for info in after.recipients}
    assert (after.iv, after.algorithm) == (before.iv, before.algorithm)
    aliases = bench.catalogue.recordings[RECORDING][0].media["certAlias"]
    assert aliases == [pair(number).alias for number in (1, 3, 2)]


async def test_twice_is_once(bench: Bench) -> None:
    """The same wish again changes nothing, and says so."""
    bench.catalogue.add(encrypted(SOUND, pair(1)))
    for number in (1, 2):
        bench.add_key(number)
    for changed in (True, False):
        _, body = await bench.rewrap(RECORDING, add=[ident(2)], remove=[ident(1)])
        assert [file["changed"] for file in body["mediaFiles"]] == [changed]
    assert len(bench.catalogue.puts) == 1


async def test_a_dry_run_checks_and_changes_nothing(bench: Bench) -> None:
    """A dry run tells what would change, and refuses what would be refused."""
    bench.catalogue.add(encrypted(SOUND, pair(1)))
    for number in (1, 2):
        bench.add_key(number)
    _, body = await bench.rewrap(RECORDING, add=[ident(2)], dryRun=True)
    assert (body["dryRun"], body["mediaFiles"][0]["added"]) == (True, [ident(2)])
    assert "last recipient" in await bench.refusal(RECORDING, 409, remove=[ident(1)], dryRun=True)
    assert bench.catalogue.puts == []


async def test_any_key_that_is_present_will_do(bench: Bench) -> None:
    """Of two recipients only the second's key is here: it is enough."""
    bench.catalogue.add(encrypted(SOUND, pair(1), pair(2)))
    bench.add_key(2)
    status, _ = await bench.rewrap(RECORDING, add=[recorder(3).pem])
    assert status == 200
    assert opened(bench.catalogue.recordings[RECORDING][0], pair(3)) == SOUND


async def test_all_media_files_are_decided_before_one_changes(bench: Bench) -> None:
    """When the second of two media files cannot be re-wrapped, the first stays as it is."""
    one = encrypted(SOUND, pair(1))
    other = replace(one, name=one.name.replace("1.wav", "2.wav"))
    other = other.changed(mediaPath=one.media["mediaPath"].replace("1.wav", "2.wav"), mediaId="x")
    bench.catalogue.add(one, other)  # the mac of the second is for another name
    for number in (1, 2):
        bench.add_key(number)
    assert "does not open" in await bench.refusal(RECORDING, 409, add=[ident(2)])
    bench.catalogue.recordings[RECORDING][1] = other.changed(mediaId=one.media["mediaId"])
    status, body = await bench.rewrap(RECORDING, add=[ident(2)])
    assert status == 200
    assert [file["changed"] for file in body["mediaFiles"]] == [True, True]


async def test_a_recording_in_plain_has_nothing_to_change(bench: Bench) -> None:
    """A recording that is not encrypted has no envelopes, and that is no error."""
    bench.catalogue.add(plain(SOUND))
    bench.add_key(1)
    status, body = await bench.rewrap("00PLAIN", add=[ident(1)])
    assert (status, body["mediaFiles"]) == (200, [])


async def test_the_last_recipient_stays(bench: Bench) -> None:
    """Nobody would open the recording any more: refused, forced or not."""
    bench.catalogue.add(encrypted(SOUND, pair(1)))
    bench.add_key(1)
    for force in (False, True):
        sentence = await bench.refusal(RECORDING, 409, remove=[ident(1)], force=force)
        assert "last recipient" in sentence


async def test_who_is_left_must_have_a_key_here(bench: Bench) -> None:
    """A recording that no key of the keystore would open is made only where `force` says so."""
    bench.catalogue.add(encrypted(SOUND, pair(1), pair(2)))
    bench.add_key(1)
    sentence = await bench.refusal(RECORDING, 409, remove=[ident(1)])
    assert "no recipient whose key is here; `force` allows it" in sentence
    status, _ = await bench.rewrap(RECORDING, remove=[ident(1)], force=True)
    assert status == 200
    assert "no key here opens" in await bench.refusal(RECORDING, 409, add=[recorder(3).pem])


async def test_without_any_key_nothing_is_done(bench: Bench) -> None:
    """No recipient's key is in the tenant's keystore; another tenant's does not count."""
    bench.catalogue.add(encrypted(SOUND, pair(1)))
    bench.add_key(1, "North", 2)
    sentence = await bench.refusal(RECORDING, 409, add=[recorder(2).pem])
    assert "no key here opens media file" in sentence


@pytest.mark.parametrize("late", [YEAR + timedelta(days=1), -YEAR - timedelta(days=1)])
async def test_dates_count(bench: Bench, late: timedelta) -> None:
    """An expired certificate, and one that is not valid yet, are not added; removing is free."""
    bench.catalogue.add(encrypted(SOUND, pair(1), pair(2)))
    for number in (1, 2):
        bench.add_key(number)
    bench.at += late
    sentence = await bench.refusal(RECORDING, 400, add=[recorder(3).pem])
    assert "expired on" in sentence or "is not valid before" in sentence
    status, _ = await bench.rewrap(RECORDING, remove=[ident(2)])
    assert status == 200


async def test_strangers_are_not_added(bench: Bench) -> None:
    """A certificate of another CA, a ruined one and a small key are refused by name."""
    bench.catalogue.add(encrypted(SOUND, pair(1)))
    bench.add_key(1)
    stranger = issue("stranger", rsa_key(3), serial=5)
    assert "stranger" in await bench.refusal(RECORDING, 400, add=[stranger.pem])
    small = issue("small", rsa_key(7, 1024), issuer=root(), serial=6)
    assert "1024 bits" in await bench.refusal(RECORDING, 400, add=[small.pem])
    ruined = recorder(2).pem.replace("\n", "")
    assert "ruined" in await bench.refusal(RECORDING, 400, add=[ruined])
    assert "neither an id" in await bench.refusal(RECORDING, 400, add=["certificates-1"])
    assert "has no certificate" in await bench.refusal(RECORDING, 404, add=[ident(2)])


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({}, "say which certificates"),
        ({"add": ["x"] * 101}, "more than 100"),
        ({"add": [ident(1)], "remove": [ident(1)]}, "added and removed at once"),
        ({"add": "all"}, "the body is not as it should be"),
        ({"add": [], "what": 1}, "the body is not as it should be"),
    ],
)
async def test_wishes_that_make_no_sense(bench: Bench, wish: dict[str, Any], sentence: str) -> None:
    """A wish that is empty, too long, contradictory or not understood is refused."""
    bench.catalogue.add(encrypted(SOUND, pair(1)))
    bench.add_key(1)
    assert sentence in await bench.refusal(RECORDING, 400, **wish)


async def test_a_wrong_mac_gives_no_recipient(bench: Bench) -> None:
    """Before anybody is added the mac must prove the session key; the sentence is one."""
    good = encrypted(SOUND, pair(1))
    for number in (1, 2):
        bench.add_key(number)
    lab = good.media["lab"]
    info = Envelope.from_pem(good.media["pkcs7"]).recipients[0]
    other = Envelope.from_pem(encrypted(SOUND, pair(1)).media["pkcs7"]).recipients[0]
    foreign = Envelope.from_pem(encrypted(SOUND, pair(2)).media["pkcs7"]).recipients[0]
    broken = [good.changed(lab=lab | {"mac": "0" * 64}), good.changed(lab=lab | {"mac": ""})]
    for key in (bytes(256), other.encrypted_key, foreign.encrypted_key, b""):
        envelope = Envelope.from_pem(good.media["pkcs7"])
        changed = RecipientInfo(info.issuer, info.serial, key)
        broken.append(good.changed(pkcs7=replace(envelope, recipients=(changed,)).to_pem()))
    sentences = set()
    for made in broken:
        bench.catalogue.recordings[RECORDING] = [made]
        sentences.add(await bench.refusal(RECORDING, 409, add=[ident(2)]))
    assert sentences == {
        f"media file {good.name} does not open: envelope, key and stored bytes differ"
    }


@pytest.mark.parametrize("sound", [SOUND, mp3(20)], ids=["wav", "mp3"])
async def test_without_a_mac_the_beginning_must_be_audio(bench: Bench, sound: bytes) -> None:
    """A recording of a real media server has no mac: its first bytes prove the session key."""
    kind = "wav" if sound is SOUND else "mp3"
    made = encrypted(sound, pair(1), extension=kind).changed(lab=None)
    for number in (1, 2):
        bench.add_key(number)
    bench.catalogue.add(made.with_stored(bytes(len(made.stored))))
    assert "does not open" in await bench.refusal(RECORDING, 409, add=[ident(2)])
    bench.catalogue.recordings[RECORDING] = [made]
    status, body = await bench.rewrap(RECORDING, add=[ident(2)])
    assert (status, body["mediaFiles"][0]["verified"]) == (200, False)
    assert opened(bench.catalogue.recordings[RECORDING][0], pair(2)) == sound


async def test_tenants_are_apart(bench: Bench) -> None:
    """A limited administrator is told of another tenant's recording what is told of none."""
    bench.catalogue.add(encrypted(SOUND, pair(1)))
    bench.add_key(1)
    none = await bench.refusal("00NONE", 404, who="nora", add=[ident(1)])
    other = await bench.refusal(RECORDING, 404, who="nora", add=[ident(1)])
    assert none.replace("00NONE", RECORDING) == other
    assert await bench.refusal(RECORDING, 404, tenant="North", add=[ident(1)]) == other
    # Neither does a ruined file of another tenant's recording say more.
    ruined = bench.catalogue.recordings[RECORDING][0].changed(pkcs7=None)
    bench.catalogue.recordings[RECORDING] = [ruined]
    assert await bench.refusal(RECORDING, 404, who="nora", add=[ident(1)]) == other
    bench.catalogue.recordings[RECORDING] = [ruined.changed(mediaPath="/nowhere")]
    assert await bench.refusal(RECORDING, 404, who="nora", add=[ident(1)]) == other
    assert "cannot be read" in await bench.refusal(RECORDING, 409, add=[ident(1)])


async def test_only_administrators(bench: Bench) -> None:
    """A listener may not, and it is written down."""
    bench.catalogue.add(encrypted(SOUND, pair(1)))
    await bench.refusal(RECORDING, 403, who="anna", add=[ident(1)])
    assert bench.lines()[-1]["outcome"] == "forbidden"


async def test_an_envelope_that_changed_meanwhile_is_looked_at_again(bench: Bench) -> None:
    """Another re-wrap in between is not undone: both recipients are there in the end."""
    bench.catalogue.add(encrypted(SOUND, pair(1)))
    for number in (1, 2):
        bench.add_key(number)

    def other_rewrap() -> None:
        files = bench.catalogue.recordings[RECORDING]
        envelope = Envelope.from_pem(files[0].media["pkcs7"])
        key = envelope.unwrap(pair(1).certificate, pair(1).private_key)
        pkcs7 = envelope.with_recipients([pair(3).certificate], key).to_pem()
        aliases = [pair(1).alias, pair(3).alias]
        files[0] = files[0].changed(pkcs7=pkcs7, certAlias=aliases)

    bench.catalogue.before_put = other_rewrap
    status, body = await bench.rewrap(RECORDING, add=[ident(2)])
    assert status == 200
    assert body["mediaFiles"][0]["certAlias"] == [pair(number).alias for number in (1, 3, 2)]
    envelope = bench.catalogue.envelope(RECORDING)
    assert all(envelope.has_recipient(pair(number).certificate) for number in (1, 2, 3))


async def test_named_twice_is_once(bench: Bench) -> None:
    """A certificate that is named by its id and by its PEM text becomes one recipient."""
    bench.catalogue.add(encrypted(SOUND, pair(1), pair(3)))
    for number in (1, 2):
        bench.add_key(number)
    status, body = await bench.rewrap(
        RECORDING, add=[ident(2), recorder(2).pem], remove=[recorder(3).pem, recorder(3).pem]
    )
    assert status == 200
    assert body["mediaFiles"][0]["added"] == [ident(2)]
    assert body["mediaFiles"][0]["certAlias"] == [pair(1).alias, pair(2).alias]


async def test_how_far_it_came_is_told(bench: Bench) -> None:
    """Where it ends after the first media file, the sentence tells so; again, it goes on there."""
    first = encrypted(SOUND, pair(1))
    path = first.media["mediaPath"].replace("1.wav", "2.wav")
    second = replace(first, name=first.name.replace("1.wav", "2.wav")).changed(mediaPath=path)
    bench.catalogue.add(first, second)
    for number in (1, 2):
        bench.add_key(number)

    def nothing_opens_any_more() -> None:
        foreign = encrypted(SOUND, pair(3)).media["pkcs7"]
        files = bench.catalogue.recordings[RECORDING]
        files[1] = files[1].changed(pkcs7=foreign, certAlias=[pair(3).alias])

    bench.catalogue.before_put = nothing_opens_any_more
    status, body = await bench.rewrap(RECORDING, add=[ident(2)])
    assert status == 409
    assert body["statusMessage"] == (
        f"no key here opens media file {second.name}, so nobody can be added or removed"
        " (1 of 2 media files were changed)"
    )
    bench.catalogue.recordings[RECORDING][1] = second
    status, body = await bench.rewrap(RECORDING, add=[ident(2)])
    assert (status, [file["changed"] for file in body["mediaFiles"]]) == (200, [False, True])


async def test_what_the_processor_refuses_is_said(bench: Bench) -> None:
    """A processor that is away, or that will not have it, is told of in one sentence."""
    made = encrypted(SOUND, pair(1))
    bench.catalogue.add(made.changed(certAlias=[]))
    for number in (1, 2):
        bench.add_key(number)
    sentence = await bench.refusal(RECORDING, 409, add=[ident(2)], remove=[ident(1)])
    assert "aliases" in sentence
    bench.catalogue.down = True
    await bench.refusal(RECORDING, 502, add=[ident(2)])


async def test_every_rewrap_is_written_down(bench: Bench) -> None:
    """The audit line has who, what recording, which tenant and how many files, and no PEM."""
    bench.catalogue.add(encrypted(SOUND, pair(1)))
    bench.add_key(1)
    await bench.rewrap(RECORDING, add=[recorder(2).pem])
    await bench.rewrap(RECORDING, remove=[ident(1)], dryRun=True)
    done, refused = bench.lines()[-2:]
    assert (done["who"], done["action"], done["outcome"]) == ("ada", "rewrap", "done")
    assert (done["recording"], done["tenant"]) == (RECORDING, TENANT)
    assert done["detail"] == "add 1, remove 0: 1 of 1 media files"
    assert (refused["outcome"], refused["status"]) == ("refused", 409)
    assert refused["detail"] == "add 0, remove 1, dry run"
    assert b"BEGIN" not in bench.audit_file.read_bytes()


async def test_a_key_identifier_is_removed_too(bench: Bench) -> None:
    """A certificate that states its key identifier is added and removed as any other."""
    one = issue("identified", rsa_key(3), issuer=root(), serial=60, key_ids=True)
    bench.catalogue.add(encrypted(SOUND, pair(1), paired(one)))
    bench.add_key(1)
    status, body = await bench.rewrap(RECORDING, remove=[one.pem])
    assert status == 200
    assert body["mediaFiles"][0]["removed"] == [one.recording().fingerprint]
    assert body["mediaFiles"][0]["certAlias"] == [pair(1).alias]

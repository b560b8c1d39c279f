"""Which credentials a delivery gets: those in force, else those of the call's beginning."""

from __future__ import annotations

import msgspec
import pytest

from mcp_sim.calls import PROFILE_PURPOSE
from mcp_sim.destinations import Destinations
from mcp_sim.profiles import ProfileBook, ProfileEdition
from mcp_sim.recording.keyring import SpoolKeyring
from mcp_sim.recording.plan import SealedBox
from mcp_sim.recording.spool.item import Part, SpoolItem
from recording_format.ivr_profile import IvrProfile
from tests.mcp_sim.front.pki import profile, with_options

STORE = "http://127.0.0.1:9/recordings"
PROCESSOR = "http://127.0.0.1:8/api/contact-centers/lab.example/recordings"


def an_item(box: SealedBox | None) -> SpoolItem:
    return SpoolItem(
        recording_id="id", media_id="id.wav", tenant="Environment", tenant_dbid=1,
        profile="recording", profile_dbid=101, profile_box=box, storage_url=STORE, object_url="",
        processor_url=PROCESSOR, size=0, sha256="", metadata=msgspec.Raw(b"{}"),
    )  # fmt: skip


def with_password(password: str, store: str = STORE) -> IvrProfile:
    return with_options(
        profile(),
        {
            "recordingclient.recdest": store,
            "recordingclient.callrec_dest": PROCESSOR,
            "recordingclient.httpauthorization": f"store:{password}",
            "recordingclient.callrec_authorization": f"processor:{password}:2",
        },
    )


def sealed(keyring: SpoolKeyring, chosen: IvrProfile) -> SealedBox:
    return keyring.seal(msgspec.json.encode(chosen), purpose=PROFILE_PURPOSE)


async def test_profile_in_force_counts() -> None:
    """A password that was corrected serves recordings that wait."""
    keyring, book = SpoolKeyring.generate(), ProfileBook()
    book.update(ProfileEdition(1, [with_password("new")]))
    item = an_item(sealed(keyring, with_password("old")))
    found = await Destinations(book, keyring).credentials(item)
    assert found.storage == ("store", "new")
    assert found.processor == ("processor", "new:2")


async def test_a_password_stays_with_its_server() -> None:
    """Where the profile names another store by now, its password is not sent to the old one."""
    keyring, book = SpoolKeyring.generate(), ProfileBook()
    book.update(ProfileEdition(1, [with_password("new", "http://127.0.0.1:7/recordings")]))
    item = an_item(sealed(keyring, with_password("old")))
    found = await Destinations(book, keyring).credentials(item)
    assert found.storage == ("store", "old")
    assert found.processor == ("processor", "new:2")


SECOND = "http://127.0.0.1:7/recordings"


@pytest.mark.parametrize("second", [SECOND, "http://127.0.0.1:9/copies"])
async def test_the_copy_has_the_credentials_of_its_own_store(second: str) -> None:
    """A second store has its own name and password, on the same server too; no one else's."""
    keyring, book = SpoolKeyring.generate(), ProfileBook()
    options = {
        "recordingclient.recdest2": f"{second}/",
        "recordingclient.httpauthorization2": "copy:own",
    }
    book.update(ProfileEdition(1, [with_options(with_password("new"), options)]))
    item = msgspec.structs.replace(an_item(None), copy_storage_url=second, copy_url=f"{second}/x")
    found = await Destinations(book, keyring).credentials(item.for_part(Part.COPY))
    assert found.storage == ("copy", "own")
    assert (await Destinations(book, keyring).credentials(item)).storage == ("store", "new")
    elsewhere = msgspec.structs.replace(item, copy_storage_url="http://127.0.0.1:6/recordings")
    lost = await Destinations(book, keyring).credentials(elsewhere.for_part(Part.COPY))
    assert lost.storage is None


async def test_profile_of_the_beginning_is_the_second_choice() -> None:
    """Without the profile, that which the call began with gives the credentials."""
    keyring = SpoolKeyring.generate()
    item = an_item(sealed(keyring, with_password("old")))
    found = await Destinations(ProfileBook(), keyring).credentials(item)
    assert found.storage == ("store", "old")


@pytest.mark.parametrize("case", ["none", "other keyring", "damaged"])
async def test_without_any_profile(case: str) -> None:
    """Where neither can be read, there are no credentials, and no error."""
    keyring = SpoolKeyring.generate()
    boxes = {
        "none": None,
        "other keyring": sealed(SpoolKeyring.generate(), with_password("x")),
        "damaged": keyring.seal(b"{", purpose=PROFILE_PURPOSE),
    }
    found = await Destinations(ProfileBook(), keyring).credentials(an_item(boxes[case]))
    assert (found.storage, found.processor) == (None, None)

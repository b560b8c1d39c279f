"""What is the matter with an item of the spool: by what lies there, what was said, what is now."""

from __future__ import annotations

import msgspec
import pytest

from mcp_sim.recording.spool.folders import FAILURE, ITEM, JOURNAL, MEDIA, State
from mcp_sim.recording.spool.item import Part, Progress, write_item, write_progress
from reclab.recover.causes import Cause
from reclab.recover.judging import Judgement, Route, judge
from reclab.recover.report import DestinationState
from reclab.recover.spool_scan import SpoolEntry, look, scan_spool
from tests.mcp_sim.recording.delivery_scene import Scene

READY = SpoolEntry(
    name="item", state=State.READY, folder="/spool/ready/item", described=True, has_sound=True
)
DOWN = "the store at http://store/x was not reached: connection refused"
REFUSED = "the processor answered 401 (the sign-in was refused)"


def destination(kind: str, said: str = "") -> DestinationState:
    """A destination that answers well, or says something else."""
    return msgspec.convert(
        {"kind": kind, "url": f"http://{kind}", "profile": "p", "answers": not said,
         "accepts": not said, "said": said or "it answers"},
        DestinationState,
    )  # fmt: skip


WELL = Route(destination("store"), destination("processor"))


def tried(fault: str, tries: int = 1) -> SpoolEntry:
    """An item whose last try said that."""
    return msgspec.structs.replace(READY, progress=Progress(tries=tries, fault=fault))


def put_aside(why: str) -> SpoolEntry:
    return msgspec.structs.replace(READY, state=State.FAILED, put_aside=why)


def judged(entry: SpoolEntry, route: Route = WELL, *, running: bool = True) -> Judgement:
    """The judgement, which there must be."""
    found = judge(entry, route, running=running)
    assert found is not None
    return found


@pytest.mark.parametrize("state", [State.CAPTURING, State.RENDERING])
def test_calls_that_are_not_finished(state: State) -> None:
    """A running platform is about to finish them; a dead one left them behind."""
    entry = SpoolEntry(name="x", state=state, folder="/x", has_journal=True)
    assert judge(entry, WELL, running=True) is None
    found = judged(entry, running=False)
    assert (found.cause, found.retry) == (Cause.UNFINISHED, True)


def test_what_waits_for_its_turn() -> None:
    """Never tried: no finding while a platform runs, unless its destination is down."""
    assert judge(READY, WELL, running=True) is None
    assert judged(READY, running=False).cause is Cause.NOT_DELIVERED
    down = Route(destination("store", DOWN), destination("processor"))
    assert judged(READY, down) == (Cause.STORAGE_DOWN, DOWN, True)


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize(
    ("fault", "cause"), [(DOWN, Cause.STORAGE_DOWN), (REFUSED, Cause.PROCESSOR_CREDENTIALS)]
)
def test_what_was_tried(fault: str, cause: Cause, *, running: bool) -> None:
    """The last try tells the cause, and how often it was."""
    found = judged(tried(fault, 3), running=running)
    assert (found.cause, found.retry) == (cause, True)
    assert found.reason.startswith(f"{fault}; it was tried 3 times; both destinations answer well")
    still = judged(tried(fault, 1), Route(destination("store", DOWN), destination("processor")))
    assert still.reason == f"{fault}; it was tried once"


def test_a_corrected_address_was_wrong() -> None:
    """Only that of the destination that did not answer."""
    replaced = WELL._replace(replaced=(("store", "http://old", "http://new"),))
    assert judged(tried(DOWN), replaced).cause is Cause.STORAGE_ADDRESS
    assert judged(tried(REFUSED), replaced).cause is Cause.PROCESSOR_CREDENTIALS
    assert judged(put_aside("the store is a conflict: holds another object"), replaced).cause is (
        Cause.CONFLICT
    )


@pytest.mark.parametrize(
    ("gone", "change", "cause", "retry"),
    [
        ([ITEM], {}, Cause.METADATA_MISSING, False),
        ([MEDIA], {}, Cause.MEDIA_MISSING, False),
        ([ITEM, MEDIA], {}, Cause.METADATA_MISSING, False),
        ([ITEM, MEDIA], {JOURNAL: b"j"}, Cause.RENDER_FAILED, True),
        ([], {ITEM: b"{"}, Cause.METADATA_UNPARSABLE, False),
        ([], {ITEM: b"\xff"}, Cause.METADATA_UNPARSABLE, False),
        ([], {"metadata": b"{}"}, Cause.METADATA_INCOMPLETE, False),
        ([], {"metadata": b'{"mediaFiles":[{"mediaId":"x"}]}'}, Cause.METADATA_INCOMPLETE, False),
        ([], {FAILURE: b"the processor answered 400: no\n"}, Cause.INDEXER_REFUSED, True),
    ],
)
def test_what_was_put_aside(
    scene: Scene, gone: list[str], change: dict[str, bytes], cause: Cause, *, retry: bool
) -> None:
    """What lies there decides before anything that was said."""
    name = scene.ready()
    item = scene.item(name)
    scene.spool.fail(name, "the spool was ruined")
    folder = scene.spool.folder(name, State.FAILED)
    for file in gone:
        (folder / file).unlink()
    for file, content in change.items():
        if file == "metadata":
            broken = msgspec.structs.replace(item, metadata=msgspec.Raw(content))
            write_item(folder, broken)
        else:
            (folder / file).write_bytes(content)
    entry = look(scene.spool, name, State.FAILED)
    assert entry is not None
    found = judged(entry)
    assert (found.cause, found.retry) == (cause, retry)


def test_a_scan_tells_each_item_once(scene: Scene) -> None:
    """With its state, its addresses and whom it is encrypted for; nothing is changed."""
    name, delivered = scene.ready(1), scene.ready(2)
    scene.spool.finish(delivered)
    found = {entry.name: entry for entry in scan_spool(scene.spool.root)}
    assert {name: entry.state for name, entry in found.items()} == {
        name: State.READY, delivered: State.DELIVERED
    }  # fmt: skip
    item, entry = scene.item(name), found[name]
    assert (entry.media, entry.storage_url) == (item.media_id, item.storage_url)
    assert entry.deliverable
    assert entry.pkcs7 is not None
    assert not found[delivered].has_sound
    assert judge(found[delivered], WELL, running=False) is None


def test_a_copy_that_waits_alone(scene: Scene) -> None:
    """Where the recording has arrived, what is told is of its copy in the second store."""
    name = scene.ready(second_storage_url="http://127.0.0.1:9/copies")
    folder = scene.spool.folder(name, State.READY)
    write_progress(folder, Progress(settled=True))
    write_progress(folder, Progress(tries=2, fault=DOWN), Part.COPY)
    entry = look(scene.spool, name, State.READY)
    assert entry is not None
    assert entry.storage_url == "http://127.0.0.1:9/copies"
    found = judged(entry, Route(destination("store")))
    assert found.cause is Cause.STORAGE_DOWN
    assert found.reason == f"{DOWN}; its copy was tried 2 times; the store answers well now"


def test_what_has_moved_on_is_no_entry(scene: Scene) -> None:
    """An item that was delivered while the spool was listed."""
    assert look(scene.spool, "gone", State.READY) is None

"""After a bad night: every known cause of a lost recording, made on a real lab, found and repaired.

One lab for all of them; each test leaves it well. The platform's own retries are an hour away, so
whatever is delivered is delivered by the recovery.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from reclab.recover import Finding, Outcome, RecoveryOptions, Report, run_recovery
from tests.end_to_end.lab_in_parts import PARTS, LabInParts, lab_in_parts
from tests.end_to_end.lab_under_test import RECLAB, wait_until

pytestmark = pytest.mark.slow
SELDOM = {
    "RECLAB_MCP__DELIVERY__FIRST_RETRY": "3600",
    "RECLAB_MCP__DELIVERY__LONGEST_RETRY": "3600",
}
STORAGE, STORAGE_LOGIN = "recordingclient.recdest", "recordingclient.httpauthorization"
PROCESSOR = "recordingclient.callrec_dest"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabInParts]:
    """A lab with all its services up."""
    with lab_in_parts(tmp_path_factory.mktemp("recover") / "lab") as made:
        made.start(*PARTS, **SELDOM)
        yield made


def recover(lab: LabInParts, **options: Any) -> Report:
    """Run the recovery in this process."""
    return asyncio.run(run_recovery(lab.folder, RecoveryOptions(**options)))


def one(report: Report) -> Finding:
    """The only finding."""
    [found] = report.findings
    return found


def call(lab: LabInParts) -> None:
    """Place one short call, which is recorded."""
    done = lab.reclab_load("--calls", "1", "--hold", "0.2")
    assert done.returncode == 0, done.stdout + done.stderr


def waiting(lab: LabInParts, state: str = "ready") -> list[Path]:
    """The items in a folder of the spool."""
    return sorted((lab.spool / state).iterdir())


def wait_for_fault(lab: LabInParts, part: str) -> Path:
    """Wait until the only item that is ready failed with a text that has `part`; return it."""

    def failed() -> bool:
        files = [item / "progress.json" for item in waiting(lab)]
        return any(file.exists() and part in file.read_text() for file in files)

    wait_until(failed, part)
    [item] = waiting(lab)
    return item


def tree(folder: Path) -> dict[str, str]:
    """Every file that belongs to recordings, with its digest."""
    files = [
        file
        for place in ("spool", "store", "catalogue", "keystore")
        for file in (folder / place).rglob("*")
        if file.is_file() and not file.name.endswith("-shm")
    ]
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@contextmanager
def profile_with(lab: LabInParts, name: str, value: str) -> Iterator[None]:
    """Put another value of a service parameter in force meanwhile."""
    url = f"{lab.lab['processor']}/lab/profiles/101"
    status, before = lab.get(url, "admin")
    assert status == 200
    changed = json.loads(before)
    changed["sections"]["gvp.service-parameters"][name] = f"fixed,{value}"
    put_profile(lab, json.dumps(changed).encode())
    yield
    put_profile(lab, before)


def put_profile(lab: LabInParts, body: bytes) -> None:
    """Put a profile in force, and wait until the platform has it."""
    loaded = (lab.folder / "mcp.log").read_text().count("Profiles were loaded")
    status, said = lab.request("PUT", f"{lab.lab['processor']}/lab/profiles/101", "admin", body)
    assert status == 200, said
    log = lab.folder / "mcp.log"
    wait_until(lambda: log.read_text().count("Profiles were loaded") > loaded, "the new profile")


def forget_catalogue(lab: LabInParts) -> None:
    """Take all recordings out of the catalogue, as a restored backup might; profiles stay."""
    lab.stop("processor")
    with sqlite3.connect(lab.folder / "catalogue" / "recordings.sqlite") as database:
        for table in (
            "participations", "media_recipients", "media_parameters", "media_files", "recordings",
        ):  # fmt: skip
            database.execute(f"DELETE FROM {table}")
    database.close()
    lab.start("processor")


def well(lab: LabInParts, count: int) -> None:
    """See that nothing is wrong any more, and that so many recordings are stored, each once."""
    report = recover(lab, digests=True)
    assert (report.exit_code, report.findings, report.notes) == (0, [], [])
    assert (report.counts.objects, report.counts.media_files) == (count, count)
    assert len(lab.recordings()) == count


def test_the_store_was_down(lab: LabInParts) -> None:
    """A dry run tells it and changes nothing; the store up again, one run delivers, once."""
    lab.stop("store")
    call(lab)
    item = wait_for_fault(lab, "not reached")
    before = tree(lab.folder)
    dry = lab.reclab("recover", "--dry-run", "--json")
    assert dry.returncode == 1, dry.stderr
    told = json.loads(dry.stdout)
    assert tree(lab.folder) == before
    assert (told["dryRun"], told["platform"], told["complete"]) == (True, "running", False)
    [found] = told["findings"]
    reason = found.pop("reason")
    assert "connection refused; it was tried once" in reason
    assert found == {
        "recording": item.name.partition("-")[0],
        "media": json.loads((item / "item.json").read_text())["media_id"],
        "place": "spool",
        "state": "ready",
        "where": str(item),
        "cause": "storage-down",
        "recoverable": True,
        "tries": 1,
        "repair": "",
        "outcome": "remains",
    }
    assert {one["kind"]: (one["answers"], one["accepts"]) for one in told["destinations"]} == {
        "store": (False, False),
        "processor": (True, True),
    }
    assert one(recover(lab)).outcome is Outcome.REMAINS

    lab.start("store")
    assert one(recover(lab, dry_run=True)).outcome is Outcome.WOULD_REPAIR
    assert len(waiting(lab)) == 1
    done = lab.reclab("recover")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "storage-down: the storage is down" in done.stdout
    assert "1 repaired, 0 recoverable remain, 0 unrecoverable" in done.stdout
    again = lab.reclab("recover")
    assert (again.returncode, "Nothing is wrong." in again.stdout) == (0, True)
    well(lab, 1)


def test_the_password_of_the_storage_was_wrong(lab: LabInParts) -> None:
    """It is named as such; corrected in the profile, the recording arrives."""
    with profile_with(lab, STORAGE_LOGIN, "mcp:wrong"):
        call(lab)
        wait_for_fault(lab, "sign-in was refused")
        found = one(recover(lab))
        assert (found.cause, found.outcome) == ("storage-credentials", Outcome.REMAINS)
        assert "wrong" not in found.reason
    assert recover(lab).exit_code == 0
    well(lab, 2)


def test_the_address_of_the_processor_was_wrong(lab: LabInParts) -> None:
    """Corrected in the profile, a waiting recording goes there, and the report says so."""
    wrong = f"{lab.lab['processor']}/api/contact-centers/nowhere.example/recordings"
    with profile_with(lab, PROCESSOR, wrong):
        call(lab)
        wait_for_fault(lab, "answered 404")
        found = one(recover(lab))
        assert (found.cause, found.outcome) == ("processor-address", Outcome.REMAINS)
    found = one(recover(lab))
    assert (found.cause, found.outcome) == ("processor-address", Outcome.REPAIRED)
    assert f"the address of the processor was replaced: {wrong} is" in found.repair
    well(lab, 3)


def test_the_address_of_the_storage_was_wrong(lab: LabInParts) -> None:
    """The same for the store: the metadata tell where the object really lies."""
    with profile_with(lab, STORAGE, "http://127.0.0.1:9/recordings"):
        call(lab)
        wait_for_fault(lab, "not reached")
    found = one(recover(lab))
    assert (found.cause, found.outcome) == ("storage-address", Outcome.REPAIRED)
    assert "the address of the store was replaced: http://127.0.0.1:9/recordings is" in found.repair
    well(lab, 4)


def test_the_indexer_refused(lab: LabInParts) -> None:
    """A recording that was put aside gets another try, and is filed."""
    lab.stop("processor")
    lab.start("processor", RECLAB_PROCESSOR__LIMITS__METADATA_BYTES="1024")
    call(lab)
    wait_until(lambda: bool(waiting(lab, "failed")), "a refusal")
    found = one(recover(lab))
    assert (found.cause, found.state, found.outcome) == (
        "indexer-refused", "failed", Outcome.REMAINS
    )  # fmt: skip
    lab.stop("processor")
    lab.start("processor")
    assert one(recover(lab)).outcome is Outcome.REPAIRED
    well(lab, 5)


def test_the_platform_was_killed_in_a_call(lab: LabInParts) -> None:
    """Its spool is worked on from here: rendered, delivered; what cannot be read is told."""
    command = [*RECLAB, "load", "--target", lab.sip, "--calls", "1", "--hold", "60"]
    caller = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        journals = lab.spool / "capturing"
        wait_until(
            lambda: any(file.stat().st_size > 20_000 for file in journals.glob("*/journal")),
            "a second of sound",
        )
        lab.stop("mcp", kill=True)
    finally:
        caller.kill()
        caller.wait()
    broken, sound_only = lab.spool / "failed" / "broken", lab.spool / "failed" / "sound-only"
    for item in (broken, sound_only):
        item.mkdir()
        (item / "media.bin").write_bytes(bytes(32))
    (broken / "item.json").write_text('{"recording_id": ')
    before = tree(lab.folder)
    report = recover(lab, dry_run=True)
    assert tree(lab.folder) == before
    assert report.platform == "stopped"
    assert report.findings[0].recording
    assert report.findings[0].media.startswith(report.findings[0].recording)
    assert {one.media: (one.cause, one.recoverable, one.outcome) for one in report.findings} == {
        report.findings[0].media: ("unfinished", True, Outcome.WOULD_REPAIR),
        "broken": ("metadata-unparsable", False, Outcome.REMAINS),
        "sound-only": ("metadata-missing", False, Outcome.REMAINS),
    }
    report = recover(lab)
    assert report.exit_code == 1
    assert {one.cause: one.outcome for one in report.findings} == {
        "unfinished": Outcome.REPAIRED,
        "metadata-unparsable": Outcome.REMAINS,
        "metadata-missing": Outcome.REMAINS,
    }
    for item in (broken, sound_only):
        shutil.rmtree(item)
    well(lab, 6)
    assert any(media["lab"]["recovered"] for one in lab.recordings() for media in one["mediaFiles"])
    lab.start("mcp", **SELDOM)


def test_the_catalogue_lost_its_recordings(lab: LabInParts, tmp_path: Path) -> None:
    """Objects get their recordings back, from the spool's remainders or from kept metadata."""
    known = lab.recordings()
    forget_catalogue(lab)
    # One is so old that the spool has forgotten it; somebody kept what the processor told of it.
    oldest = known[-1]
    [remainder] = (lab.spool / "delivered").glob(f"{oldest['id']}-*")
    shutil.rmtree(remainder)
    # Of another one the spool holds no more than the metadata, among those that were put aside.
    [aside] = (lab.spool / "delivered").glob(f"{known[0]['id']}-*")
    aside = aside.rename(lab.spool / "failed" / aside.name)
    report = recover(lab, dry_run=True)
    assert lab.recordings() == []
    assert sorted((one.cause, one.outcome.value) for one in report.findings) == [
        ("media-missing", "remains"),
        ("metadata-missing", "remains"),
        *[("not-filed", "would-repair")] * 5,
    ]
    report = recover(lab)
    assert report.exit_code == 1
    [lost] = report.having(Outcome.REMAINS)
    assert (lost.cause, lost.media) == ("metadata-missing", oldest["mediaFiles"][0]["mediaId"])
    shutil.rmtree(aside)
    kept = tmp_path / "failed" / "lab.example_Environment_5a1f"
    kept.mkdir(parents=True)
    (kept / "x.json").write_text(json.dumps({"statusCode": 0, "recording": oldest}))
    (kept / "y.json").write_text("{")
    report = recover(lab, metadata=tmp_path / "failed")
    assert [(one.recording, one.outcome) for one in report.findings] == [
        (oldest["id"], Outcome.REPAIRED)
    ]
    assert report.notes == [f"{kept / 'y.json'} cannot be read: it is not JSON"]
    well(lab, 6)
    assert {one["id"] for one in lab.recordings()} == {one["id"] for one in known}
    media = [one["mediaFiles"][0] for one in lab.recordings() if one["id"] == oldest["id"]]
    assert lab.opened(media[0], tmp_path)[:4] == b"RIFF"


def test_the_store_lost_a_file(lab: LabInParts) -> None:
    """With a copy in the spool it is uploaded again; without, or changed, a person hears of it."""
    lab.stop("processor")
    call(lab)
    item = wait_for_fault(lab, "the processor at")
    lab.start("processor")
    described = json.loads((item / "item.json").read_text())
    # The post arrived, and its answer was lost; then the store lost the object.
    posted = json.dumps(described["metadata"]).encode()
    post_as_platform(lab, described["processor_url"], posted)
    assert lab.request("DELETE", described["object_url"], "mcp")[0] == 204
    found = one(recover(lab, dry_run=True))
    assert (found.cause, found.outcome) == ("object-lost", Outcome.WOULD_REPAIR)
    assert one(recover(lab)).outcome is Outcome.REPAIRED
    well(lab, 7)

    status, right = lab.get(described["object_url"], "operator")
    assert status == 200
    for wrong, digests in ((right[:-16], False), (bytes(len(right)), True)):
        lab.request("PUT", described["object_url"], "mcp", wrong)
        found = one(recover(lab, digests=digests))
        assert (found.cause, found.outcome) == ("media-damaged", Outcome.REMAINS)
    lab.request("DELETE", described["object_url"], "mcp")
    found = one(recover(lab))
    assert (found.cause, found.recoverable, found.place) == ("media-missing", False, "catalogue")
    assert found.recording == described["recording_id"]
    lab.request("PUT", described["object_url"], "mcp", right)
    well(lab, 7)


def post_as_platform(lab: LabInParts, url: str, body: bytes) -> None:
    status, said = lab.request("POST", url, "mcp", body)
    assert status == 200, said


def test_keys_are_gone_and_nothing_answers(lab: LabInParts) -> None:
    """Recordings that no key opens are told; with all services down, so is what was not seen."""
    crypto = lab.lab["crypto"]
    certificates = json.loads(lab.get(f"{crypto}/lab/certificates", "admin")[1])["certificates"]
    for certificate in certificates:
        url = f"{crypto}/lab/certificates/{certificate['id']}?force=true"
        assert lab.request("DELETE", url, "admin")[0] == 200
    report = recover(lab)
    assert {(one.cause, one.recoverable, one.outcome) for one in report.findings} == {
        ("key-gone", False, Outcome.REMAINS)
    }
    assert (len(report.findings), report.exit_code) == (7, 1)
    key = next(iter(lab.lab["keys"].values()))
    assert f"its key lies in {key}" in report.findings[0].reason
    lab.stop(*reversed(PARTS))
    report = recover(lab)
    assert (report.platform, report.complete, report.exit_code) == ("stopped", False, 1)
    assert [note.partition(":")[0] for note in report.notes] == [
        "whether keys are gone was not looked at",
        "the profiles could not be read at http",
        "the store was not looked through",
        "the catalogue was not looked through",
    ]

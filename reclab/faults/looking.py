"""One look at what became of a scenario's calls: at spool, processor and store, and by ear.

Only what an expectation asks is looked at: a processor that is down cannot be asked for anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import aiohttp

from mcp_sim.load.report import CallReport
from mcp_sim.recording.spool.folders import SpoolFolders, State
from reclab.faults.expectation import Expectation
from reclab.faults.fates import Fates
from reclab.faults.outcome import CallOutcome, Outcome
from reclab.https import trusting
from reclab.lab import Lab
from reclab.lab_client import JsonDict, LabClient, LabError, UnknownRecording
from reclab.preparation import LabFolder
from reclab.verification import Verdict, Verifier
from service_shell.accounts import basic_header

_TIMEOUT: Final = aiohttp.ClientTimeout(total=60, connect=10)
_OF_RECORDINGS: Final = frozenset(
    ("recorded", "lost", "doubled", "orphans", "verified", "recovered", "playable")
)
_OF_REFUSALS: Final = frozenset(("refused", "refusal"))
_OF_FATES: Final = frozenset(("recoverable", "unrecoverable", "reason"))
_ON_ITS_WAY: Final = (State.CAPTURING, State.RENDERING, State.READY)


def spool_states(folder: LabFolder) -> dict[str, State]:
    """Return the state of each item that is in the spool and not delivered, by its name.

    An item that moves on meanwhile is seen in one of its places at least.
    """
    spool = SpoolFolders(folder.root / "spool")
    states: dict[str, State] = {}
    for state in (*_ON_ITS_WAY, State.FAILED):
        states |= dict.fromkeys(spool.items(state), state)
    return states


def of_calls(states: Mapping[str, State], calls: Collection[str]) -> dict[str, State]:
    """Return those items that are recordings of the calls of these identities."""
    return {name: state for name, state in states.items() if name.startswith(tuple(calls))}


@dataclass(frozen=True)
class _Seen:
    """What the services and the spool say of all calls."""

    states: Mapping[str, State]
    refusals: Sequence[JsonDict]
    recordings: Mapping[str, JsonDict]
    verdicts: Mapping[str, Verdict]
    played: frozenset[str]
    fates: Fates

    def outcome(self, call: CallReport) -> CallOutcome:
        """Return what became of one call."""
        recording = self.recordings.get(call.identity)
        verdict = self.verdicts.get(call.identity)
        media = recording["mediaFiles"] if recording else []
        states = of_calls(self.states, [call.identity]).values()
        fate, reason = self.fates.of(call.identity)
        return CallOutcome(
            identity=call.identity,
            taken=bool(call.answered),
            refusal=_refusal(call, self.refusals),
            recorded=len(media),
            spool=next((state.value for state in states), ""),
            recovered=any((one.get("lab") or {}).get("recovered") for one in media),
            verified=verdict is not None and verdict.verified,
            problems=verdict.problems if verdict else (),
            playable=call.identity in self.played,
            fate=fate,
            reason=reason,
        )


async def look(
    lab: Lab, folder: LabFolder, calls: Sequence[CallReport], expected: Expectation
) -> Outcome:
    """Return what became of `calls`, as far as `expected` asks. Raises `LabError`."""
    asked = frozenset(expected.keys)
    # The spool first: what leaves it meanwhile is found at the processor.
    states = await asyncio.to_thread(spool_states, folder)
    refusals = await _refusals(lab) if asked & _OF_REFUSALS else []
    async with Verifier(lab) as verifier:
        found = await _recordings(verifier.client, calls) if asked & _OF_RECORDINGS else {}
        verdicts = await _verify(verifier, calls, found) if "verified" in asked else {}
    played = await _play(lab, found) if "playable" in asked else frozenset()
    fates = await Fates.ask(folder) if asked & _OF_FATES else Fates()
    seen = _Seen(states, refusals, found, verdicts, played, fates)
    orphans = await _orphans(folder, calls, found) if "orphans" in asked else ()
    return Outcome(calls=tuple(map(seen.outcome, calls)), orphans=orphans)


async def _recordings(client: LabClient, calls: Sequence[CallReport]) -> dict[str, JsonDict]:
    found: dict[str, JsonDict] = {}
    for call in calls:
        try:
            found[call.identity] = await client.recording(call.identity)
        except UnknownRecording:
            continue
    return found


async def _verify(
    verifier: Verifier, calls: Sequence[CallReport], found: dict[str, JsonDict]
) -> dict[str, Verdict]:
    async with asyncio.TaskGroup() as group:
        tasks = {
            call.identity: group.create_task(verifier.verify(found[call.identity], call))
            for call in calls
            if call.identity in found
        }
    return {identity: task.result() for identity, task in tasks.items()}


async def _play(lab: Lab, found: dict[str, JsonDict]) -> frozenset[str]:
    """Return the recordings whose every file the crypto server plays to its end."""
    played = set()
    async with _session(lab, "listener") as http:
        for identity, recording in found.items():
            media = recording["mediaFiles"]
            if media and all([await _plays(http, lab, document) for document in media]):
                played.add(identity)
    return frozenset(played)


def _session(lab: Lab, role: str) -> aiohttp.ClientSession:
    user = lab.users[role]
    return aiohttp.ClientSession(
        headers={"Authorization": basic_header(user.name, user.password)},
        timeout=_TIMEOUT,
        connector=trusting(lab.services_ca),
    )


async def _plays(http: aiohttp.ClientSession, lab: Lab, document: JsonDict) -> bool:
    try:
        async with http.get(f"{lab.crypto}/rcs{document['mediaPath']}") as answer:
            sound = await answer.read()
            return answer.status == 200 and len(sound) == int(document["size"])
    except (aiohttp.ClientError, TimeoutError):
        return False


async def _refusals(lab: Lab) -> list[JsonDict]:
    """Return the calls that the platform refused, newest first. Raises `LabError`."""
    url = f"{lab.control}/calls/refused"
    try:
        async with (
            _session(lab, "operator") as http,
            http.get(url) as answer,
        ):
            refused: list[JsonDict] = (await answer.json())["refused"]
            return refused
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as error:
        raise LabError(f"{url} could not be read: {str(error) or type(error).__name__}") from None


def _refusal(call: CallReport, refusals: Sequence[JsonDict]) -> str:
    """Return the platform's word for why it refused a call: it told the caller the same sentence.

    Without one the status is the word; empty for a call that was not refused.
    """
    if call.answered or call.status < 300:
        return ""
    told = call.reason.replace("'", '"')
    for refusal in refusals:
        sentence = str(refusal["reason"]).replace("'", '"')
        if refusal["status"] == call.status and told.endswith(sentence):
            return str(refusal["cause"])
    return str(call.status)


async def _orphans(
    folder: LabFolder, calls: Sequence[CallReport], found: dict[str, JsonDict]
) -> tuple[str, ...]:
    """Return the calls' objects in the store's folder that no metadata names."""
    named = {
        unquote(urlsplit(media["originalMediaDescriptor"]["path"]).path.rpartition("/")[2])
        for recording in found.values()
        for media in recording["mediaFiles"]
    }
    of_ours = tuple(call.identity for call in calls)
    stored = await asyncio.to_thread(_objects, folder.store)
    return tuple(sorted(n for n in stored if n.startswith(of_ours) and n not in named))


def _objects(store: Path) -> list[str]:
    return [path.name for path in store.rglob("*") if path.is_file()]

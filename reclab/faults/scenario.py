"""A scenario of faults, as a file says it: what breaks under which load, and what must be true.

Data only, strictly read: a word that means nothing is an error with its path, and so is a scenario
that could not fail.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from mcp_sim.load.impairments import Impairments
from mcp_sim.load.scenario import Arrivals, ScenarioError, Signalling
from mcp_sim.load.scenario import Scenario as Load
from reclab.faults.expectation import Expectation
from reclab.faults.impairing import impairments
from service_shell.faults import Fault, FaultPlan

_LARGEST_FILE = 64 * 1024
_SHORT_CALLS, _SHORT_HOLD = 4, 3.0

Seconds = Annotated[float, Meta(ge=0.0, le=3600.0)]
Sentence = Annotated[str, Meta(min_length=1, max_length=600)]
Service: TypeAlias = Literal["store", "processor", "crypto", "mcp"]
Setting: TypeAlias = int | float | str | bool
Settings: TypeAlias = dict[str, Setting | dict[str, Setting]]
_SETTING_NAME = re.compile(r"RECLAB_[A-Z]+(__[A-Z][A-Z0-9_]*)+")
Moment: TypeAlias = Literal["before", "ended", "healed"]


class ScenarioFileError(ValueError):
    """The file is no scenario; one sentence says why."""


class Calls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Calls to be placed: the options of ``reclab load``. `hold` is how long each one speaks."""

    calls: Annotated[int, Meta(ge=1, le=10_000)] = 8
    rate: float = 4.0
    hold: float = 4.0
    signalling: Signalling = "siprec"
    codec: Literal["pcmu", "pcma"] = "pcma"
    arrivals: Arrivals = "even"
    stagger: float = 0.0

    def shortened(self) -> Calls:
        """Return the same calls, no more and no longer than a test has time for."""
        return msgspec.structs.replace(
            self,
            calls=min(self.calls, _SHORT_CALLS),
            hold=min(self.hold, _SHORT_HOLD),
        )

    def load(self, seed: int, wrong: Impairments) -> Load:
        """Return what the load generator takes; `wrong` is its RTP. Raises `ScenarioError`."""
        load = Load(**msgspec.structs.asdict(self), seed=seed, impairments=wrong)
        load.check()
        return load


class Until(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long the faults stay, seen by what they did: no slow machine heals too early.

    They stay at least until the calls have ended and are sealed, and until each recording that
    waits for its delivery has been tried `tries` times; with `delivered` until none waits any more.
    That must happen `within` seconds.
    """

    delivered: bool = False
    tries: Annotated[int, Meta(ge=0, le=50)] = 0
    within: Seconds = 120.0

    def __post_init__(self) -> None:
        if self.delivered and self.tries:
            raise ValueError("`until` has `delivered` or `tries`, not both")


class _Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do"):
    """Something that is done at a moment of the run, one after the other in the file's order.

    `at`: ``before`` the calls, when they have ``ended`` and the faults did their work, or right
    after everything was ``healed``.
    """

    at: Moment = "healed"


class SetOption(_Step, frozen=True, kw_only=True, tag="set-option"):
    """An option of the IVR profile is set.

    In `value` ``{store}``, ``{processor}`` and ``{password}`` are the store's collection, the
    processor's URL and the platform's password.
    """

    option: Annotated[str, Meta(min_length=1, max_length=200)]
    value: Annotated[str, Meta(max_length=2000)]
    section: str = "gvp.service-parameters"


class RestoreOptions(_Step, frozen=True, kw_only=True, tag="restore-options"):
    """Every option that a step set is again what it was, as a person would correct it."""


class Damage(_Step, frozen=True, kw_only=True, tag="damage"):
    """Something of the first `calls` recordings is damaged, as no service would do it.

    | what | then |
    |---|---|
    | spool-metadata | the metadata of a recording that waits for its delivery is garbage |
    | spool-metadata-gone | the metadata of a recording that waits for its delivery are gone |
    | spool-media | the sealed sound of a recording that waits for its delivery is gone |
    | stored-object | the object of a delivered recording is removed from the store |
    """

    what: Literal["spool-metadata", "spool-metadata-gone", "spool-media", "stored-object"]
    calls: Annotated[int, Meta(ge=1, le=10_000)] = 1


class Recover(_Step, frozen=True, kw_only=True, tag="recover"):
    """``reclab recover`` repairs what can be repaired."""


Step: TypeAlias = SetOption | RestoreOptions | Damage | Recover


class FaultScenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One scenario. Faults' `begin` and `end` are seconds after the load began.

    `during` is looked at before the healing, `expect` `within` seconds after it at the latest.
    `after` are further calls, placed when everything is healed: all of them must be recorded and
    verified. `settings` are those of the lab's services, as their files have them.
    """

    title: Annotated[str, Meta(min_length=1, max_length=80)]
    about: Sentence
    cause: Annotated[str, Meta(max_length=80)] = ""
    seed: Annotated[int, Meta(ge=0, le=(1 << 53) - 1)] = 0
    load: Calls = Calls()
    faults: Annotated[list[Fault], Meta(max_length=50)] = []
    steps: Annotated[list[Step], Meta(max_length=20)] = []
    settings: dict[Service, Settings] = {}
    until: Until = Until()
    during: Expectation | None = None
    expect: Expectation
    after: Calls | None = None
    within: Seconds = 120.0

    def __post_init__(self) -> None:
        if not self.faults and not self.steps:
            raise ValueError("it breaks nothing: it has neither `faults` nor `steps`")
        if not self.expect.keys:
            raise ValueError("`expect` names nothing: it could not fail")
        if self.during is not None and not self.during.keys:
            raise ValueError("`during` names nothing: it could not fail")
        FaultPlan(seed=self.seed, faults=self.faults)
        for variable in self.environment:
            if not _SETTING_NAME.fullmatch(variable):
                raise ValueError(f"`settings` has a name that no setting has: {variable}")
        _check_calls(self.load, impairments(self.faults))
        if self.after is not None:
            _check_calls(self.after, Impairments())

    @property
    def plan(self) -> FaultPlan:
        """The faults as a plan."""
        return FaultPlan(seed=self.seed, faults=self.faults)

    @property
    def environment(self) -> dict[str, str]:
        """The settings as variables of the services' environment."""
        variables: dict[str, str] = {}
        for service, settings in self.settings.items():
            for name, value in settings.items():
                inner = value if isinstance(value, dict) else {"": value}
                for further, setting in inner.items():
                    path = "__".join(filter(None, (service, name, further)))
                    variables[f"RECLAB_{path}".upper()] = _text(setting)
        return variables

    def shortened(self) -> FaultScenario:
        """Return the same with less load."""
        after = self.after and self.after.shortened()
        return msgspec.structs.replace(self, load=self.load.shortened(), after=after)


def read_scenario(file: Path) -> FaultScenario:
    """Return the scenario in a TOML file. Raises `ScenarioFileError`."""
    try:
        with file.open("rb") as opened:
            text = opened.read(_LARGEST_FILE + 1)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise ScenarioFileError(f"the scenario {file} cannot be read: {reason}") from None
    if len(text) > _LARGEST_FILE:
        raise ScenarioFileError(f"the scenario {file} is above {_LARGEST_FILE} bytes")
    try:
        return msgspec.toml.decode(text, type=FaultScenario)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ScenarioFileError(f"{file} is no scenario: {error}") from None


def _check_calls(calls: Calls, wrong: Impairments) -> None:
    try:
        calls.load(0, wrong)
    except ScenarioError as error:
        raise ValueError(str(error).replace("--", "")) from None


def _text(value: Setting) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

"""``reclab faults run`` and ``reclab faults list``: scenarios, played and shown.

Exit codes: 0 every scenario passed, 1 one did not, 2 a file is none or no lab came up.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
import uvloop
from rich.console import Console
from rich.markup import escape

from reclab.faults.outcome import Judgement
from reclab.faults.result import Result
from reclab.faults.scenario import ScenarioFileError
from reclab.faults.shipped import NamedScenario, find, shipped
from reclab.faults.waiting import Tell
from reclab.stopping import INTERRUPTED, run_until, stop_signals
from service_shell.log import LogSettings, configure_logging
from service_shell.settings import SettingsError

_NUMBERS: Final = re.compile(r"[0-9.]+")


def run(
    scenarios: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE|NAME…", help="Scenario files, or names of shipped ones."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All scenarios that come with the lab.")
    ] = False,
    short: Annotated[
        bool, typer.Option("--short", help="Few short calls: a look whether each still passes.")
    ] = False,
    seed: Annotated[
        int | None, typer.Option(min=0, max=(1 << 53) - 1, help="Another seed than the file's.")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Keep every lab in this new folder; else failed ones only.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, for programs.")] = False,
    listed: Annotated[
        bool, typer.Option("--list", help="Only say which scenarios these are.")
    ] = False,
) -> None:
    """Play scenarios: break a lab under load, heal it, and check that nothing was lost.

    Each one gets a lab of its own, in a temporary folder and on free ports. What was expected and
    what was found is printed; the lab of a scenario that did not pass is kept.

    `reclab faults run store-down`
    """
    configure_logging("reclab", LogSettings(level="error"))
    chosen = [_prepared(one, short=short, seed=seed) for one in _chosen(scenarios, everything)]
    if listed:
        _show_list(chosen)
        return
    with _telling() as (tell, console):
        done = _ignore if as_json else _printer(console)
        results = uvloop.run(_play(chosen, tell, done, keep))
    if as_json:
        sys.stdout.buffer.write(_json(results or []) + b"\n")
    if results is None:
        raise typer.Exit(INTERRUPTED)
    if not as_json:
        _summarize(console, results)
    if not all(result.passed for result in results):
        raise typer.Exit(1)


def list_scenarios() -> None:
    """Show the scenarios that come with the lab."""
    _show_list(_shipped())


def _chosen(scenarios: list[str] | None, everything: bool) -> list[NamedScenario]:
    if everything and scenarios:
        raise SettingsError("name scenarios, or say --all")
    if not everything and not scenarios:
        raise SettingsError("name a scenario's file, or a shipped one (`reclab faults list`)")
    if everything:
        return _shipped()
    try:
        found = [find(text) for text in scenarios or []]
    except ScenarioFileError as error:
        raise SettingsError(str(error)) from None
    names = [one.name for one in found]
    for name in names:
        if names.count(name) > 1:  # both would place the same calls in one lab
            raise SettingsError(f"two of the scenarios are named {name}")
    return found


def _shipped() -> list[NamedScenario]:
    try:
        return shipped()
    except ScenarioFileError as error:
        raise SettingsError(str(error)) from None


def _prepared(named: NamedScenario, *, short: bool, seed: int | None) -> NamedScenario:
    scenario = named.scenario.shortened() if short else named.scenario
    if seed is not None:
        scenario = msgspec.structs.replace(scenario, seed=seed)
    return NamedScenario(named.name, scenario)


async def _play(
    chosen: Sequence[NamedScenario], tell: Tell, done: Callable[[Result], None], keep: Path | None
) -> list[Result] | None:
    """Return the results, or None when the run was not let come to its end."""
    # Here, because it takes a second or two, which the other commands of the group do not need.
    from reclab.faults.rounds import Rounds  # noqa: PLC0415

    stop = stop_signals()
    rounds = Rounds(tell, done, keep, stop.asked)
    await run_until(stop.asked, rounds.run(chosen))
    return None if stop.asked.is_set() else rounds.results


@contextmanager
def _telling() -> Iterator[tuple[Tell, Console]]:
    """Give what shows how far a run is: one line that changes at a terminal, else a line each."""
    console = Console(highlight=False, soft_wrap=True)
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    if errors.is_terminal:
        with errors.status("") as status:
            yield (lambda text: status.update(escape(text))), console
        return
    last = ""

    def tell(text: str) -> None:
        nonlocal last
        phase = _NUMBERS.sub("", text)
        if phase != last:  # that a number changed is for a terminal
            sys.stderr.write(f"reclab faults: {text}\n")
            sys.stderr.flush()
        last = phase

    yield tell, console


def _printer(console: Console) -> Callable[[Result], None]:
    def show(result: Result) -> None:
        mark = "[green]passed[/]" if result.passed else "[red]FAILED[/]"
        console.print(
            f"[bold]{escape(result.scenario)}[/] {mark} in {result.seconds:.1f} s"
            f" (seed {result.seed}): {escape(result.title)}"
        )
        for when, judgements in (("before the healing", result.during), ("", result.expect)):
            for judgement in judgements:
                _show_judgement(console, judgement, when)
        if result.problem:
            console.print(f"    [red]{escape(result.problem)}[/]")
        if result.lab:
            console.print(f"    its lab is kept: reclab up --data {escape(result.lab)}")

    return show


def _show_judgement(console: Console, judgement: Judgement, when: str) -> None:
    mark = "[green]ok [/]" if judgement.good else "[red]NO [/]"
    expected, found = escape(judgement.expected), escape(judgement.found)
    suffix = f" ({when})" if when else ""
    console.print(f"    {mark} {judgement.question}: {found}, expected {expected}{suffix}")
    for problem in judgement.problems:
        console.print(f"        {escape(problem)}")


def _show_list(scenarios: Sequence[NamedScenario]) -> None:
    width = max((len(one.name) for one in scenarios), default=0)
    for one in scenarios:
        print(f"{one.name:<{width}}  {one.scenario.title}")


def _summarize(console: Console, results: Sequence[Result]) -> None:
    good = sum(result.passed for result in results)
    failed = ", ".join(result.scenario for result in results if not result.passed)
    told = f"; not: {failed}" if failed else ""
    console.print(f"{good} of {len(results)} scenarios passed{told}")


def _json(results: Sequence[Result]) -> bytes:
    rows = [msgspec.to_builtins(one) | {"passed": one.passed} for one in results]
    return msgspec.json.format(msgspec.json.encode(rows))


def _ignore(_result: Result) -> None:
    return

"""``make faults``: kill -9 of the platform at random moments under load, and nothing is lost.

python -m tests.faults --kills 1000 --calls 40 --seed 7
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from service_shell.log import LogSettings, configure_logging
from tests.faults.campaign import Outcome, RunFailed, run_campaign

_MOST_TOLD = 50
_INTERRUPTED = 130


def main() -> int:
    """Run what the command line asks for; 1 when something was lost, doubled or wrong."""
    asked = _arguments()
    # Calls fail here all the time: that is what is tried.
    configure_logging("faults", LogSettings(level="error"))
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="reclab-faults-"))
    _say(f"{asked.kills} kills under {asked.calls} calls, seed {asked.seed}, lab {folder}")
    started = time.monotonic()
    try:
        outcome = run_campaign(
            folder, kills=asked.kills, calls=asked.calls, seed=asked.seed, say=_say
        )
        problems = outcome.problems
        _say(table(outcome))
    except KeyboardInterrupt:
        _say(f"It was interrupted; the lab is kept in {folder}")
        return _INTERRUPTED
    except (RunFailed, AssertionError) as error:
        problems = [str(error)]
    _say(f"{time.monotonic() - started:.0f} s")
    for problem in problems[:_MOST_TOLD]:
        _say(problem)
    if len(problems) > _MOST_TOLD:
        _say(f"… and {len(problems) - _MOST_TOLD} more")
    if problems:
        _say(f"seed {asked.seed}; the lab is kept in {folder}")
        return 1
    if asked.folder is None:
        shutil.rmtree(folder)
    return 0


def table(outcome: Outcome) -> str:
    """Return the figures as lines for a person."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(outcome.kills.items()))
    missing = np.array(outcome.missing_ms or [0])
    return "\n".join(
        (
            f"kills:      {outcome.kills.total()} ({kinds})",
            (
                f"calls:      {outcome.calls}, of them {outcome.cut} cut off by a kill;"
                f" {outcome.recovered} recordings recovered, {outcome.segmented} in several files"
            ),
            f"lost:       {outcome.lost}; doubled: {outcome.doubled}",
            f"too young:  {outcome.young} calls that nothing, or less than a second, had come of",
            (
                f"missing:    of calls cut off at most {outcome.worst_missing_ms} ms"
                f" (median {np.median(missing):.0f}, 95 %: {np.percentile(missing, 95):.0f}),"
                f" of others {outcome.worst_uncut_ms} ms; the latest packet was sent"
                f" {outcome.late_ms:.0f} ms late"
            ),
            f"problems:   {len(outcome.problems)}",
        )
    )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    reader = argparse.ArgumentParser(prog="make faults FAULTS=…", description=(__doc__ or "")[:91])
    reader.add_argument("--kills", type=int, default=200, help="how often, 200 take 15 minutes")
    reader.add_argument("--calls", type=int, default=40, help="calls at any time")
    reader.add_argument("--seed", type=int, default=1, help="the same seed gives the same kills")
    reader.add_argument("--folder", type=Path, help="where the lab shall be; it is kept")
    return reader.parse_args()


if __name__ == "__main__":
    sys.exit(main())

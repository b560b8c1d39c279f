"""``make fuzz``: a million damaged inputs over all parsers, or one input that was found before.

python -m tests.fuzz --count 300000 --seed 7 --parser sip --parser sdp
python -m tests.fuzz --file fuzz-failures/sip-7-1234.bin
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.fuzz.campaign import named, run_campaign, say, table, write_findings
from tests.fuzz.parsers import PARSERS
from tests.fuzz.trial import input_of, try_input

FAILURES = Path("fuzz-failures")


def main() -> int:
    """Run what the command line asks for; 1 when something was found."""
    asked = _arguments()
    if asked.file is not None:
        name = asked.parser[0] if asked.parser else asked.file.name.rsplit("-", 2)[0]
        return _again(name, asked.file.read_bytes())
    if asked.number is not None and asked.parser:
        parser = named(asked.parser[0])
        return _again(parser.name, input_of(parser, parser.corpus(), asked.seed, asked.number))
    chosen = [parser for parser in PARSERS if not asked.parser or parser.name in asked.parser]
    say(f"{asked.count:,} inputs over {len(chosen)} parsers, seed {asked.seed}")
    started = time.monotonic()
    tallies = run_campaign(chosen, seed=asked.seed, count=asked.count)
    say(table(tallies))
    say(f"{time.monotonic() - started:.0f} s")
    for path in write_findings(tallies, asked.seed, FAILURES):
        say(f"{path}: {path.with_suffix('.txt').read_text(encoding='utf-8').splitlines()[0]}")
        say(f"    again: make fuzz FUZZ='--file {path}'")
    return 1 if any(tally.found for tally in tallies.values()) else 0


def _again(name: str, data: bytes) -> int:
    seconds, finding = try_input(named(name), data)
    say(f"{name}: {len(data)} bytes took {seconds * 1000:.1f} ms of processor time")
    say(finding.text if finding else "No rule was broken.")
    return 1 if finding else 0


def _arguments() -> argparse.Namespace:
    names = [parser.name for parser in PARSERS]
    reader = argparse.ArgumentParser(prog="make fuzz FUZZ=…", description=(__doc__ or "")[:95])
    reader.add_argument("--count", type=int, default=1_000_000, help="inputs, over all parsers")
    reader.add_argument("--seed", type=int, default=1, help="the same seed gives the same inputs")
    reader.add_argument("--parser", action="append", choices=names, help="only this one, or these")
    reader.add_argument("--file", type=Path, help="try one input that was found before")
    reader.add_argument("--number", type=int, help="try one input again by its number")
    return reader.parse_args()


if __name__ == "__main__":
    sys.exit(main())

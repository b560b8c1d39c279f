"""The fuzzer in short, and that it would notice each kind of flaw."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.fuzz.__main__ import main
from tests.fuzz.campaign import Share, Tally, named, run_share, table, write_findings
from tests.fuzz.parsers import PARSERS
from tests.fuzz.trial import (
    MOST_LASTING,
    Finding,
    Parser,
    input_of,
    lasting_memory,
    try_input,
)

INPUTS = 150
LASTING = 40
SEED = 20_260_301


@pytest.mark.parametrize("name", [parser.name for parser in PARSERS])
def test_damaged_messages_break_no_rule(name: str) -> None:
    """Damaged real messages raise only documented errors, in little time and memory."""
    tally = run_share(Share(name, SEED, 1, INPUTS + len(named(name).corpus())))
    assert not tally.findings, tally.findings[0].text


@pytest.mark.parametrize("name", [parser.name for parser in PARSERS])
def test_nothing_stays_of_what_was_read(name: str) -> None:
    """Reading the same damaged messages again takes no memory that is not given back."""
    parser = named(name)
    corpus = parser.corpus()
    inputs = [input_of(parser, corpus, SEED, number) for number in range(200, 200 + LASTING)]
    assert lasting_memory(parser, inputs) <= MOST_LASTING


@pytest.mark.parametrize("name", [parser.name for parser in PARSERS])
def test_part_of_the_corpus_is_read(name: str) -> None:
    """The undamaged messages reach the inside of the parser: most of them are read."""
    parser = named(name)
    read = 0
    for data in parser.corpus():
        try:
            parser.run(data)
        except parser.errors:
            continue
        read += 1
    assert read * 3 >= len(parser.corpus())


def test_same_seed_gives_the_same_inputs() -> None:
    """An input is known by seed, parser and number alone; another seed gives others."""
    parser = named("sip")
    corpus = parser.corpus()
    numbers = range(len(corpus), len(corpus) + 50)
    first = [input_of(parser, corpus, 1, number) for number in numbers]
    assert first == [input_of(parser, corpus, 1, number) for number in numbers]
    assert first != [input_of(parser, corpus, 2, number) for number in numbers]


def wrong(data: bytes) -> None:
    raise KeyError(data)


def refused(data: bytes) -> None:
    raise ValueError(data)


def slow(_: bytes) -> None:
    until = time.process_time() + 0.07
    while time.process_time() < until:
        pass


def stuck(_: bytes) -> None:
    while True:
        pass


def greedy(_: bytes) -> None:
    bytearray(80 << 20)


def planted(run: object) -> Parser:
    assert callable(run)
    return Parser("planted", lambda: [b"x"], run, (ValueError,))


def kind_of(finding: Finding | None) -> str:
    return finding.kind if finding else ""


def test_each_kind_of_flaw_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An undocumented error, slowness, a hang and greed are found; a documented error is none."""
    monkeypatch.setattr("tests.fuzz.trial.PATIENCE", 0.2)
    assert kind_of(try_input(planted(wrong), b"x")[1]).startswith("KeyError at test_fuzz.py:")
    assert kind_of(try_input(planted(slow), b"x", 1)[1]) == "slow"
    assert kind_of(try_input(planted(stuck), b"x")[1]) == "hang"
    assert kind_of(try_input(planted(greedy), b"x")[1]) == "memory"
    assert try_input(planted(refused), b"x")[1] is None


def test_slow_once_is_not_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """An input that was slow only the first time is measured again and let go."""
    times = iter([slow])

    def once(data: bytes) -> None:
        next(times, len)(data)

    seconds, finding = try_input(planted(once), b"x", 1)
    assert finding is None
    assert seconds < 0.05


def test_findings_are_written_and_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A finding becomes a file named by parser, seed and number, and one command tries it again."""
    tally = Tally(inputs=1)
    tally.keep(Finding("sip-stream", 12, "slow", "it took long", b"INVITE"))
    (path,) = write_findings({"sip-stream": tally}, 7, tmp_path)
    assert path.name == "sip-stream-7-12.bin"
    assert path.read_bytes() == b"INVITE"
    assert "sip-stream" in table({"sip-stream": tally})
    monkeypatch.setattr("sys.argv", ["fuzz", "--file", str(path)])
    assert main() == 0
    assert "No rule was broken." in capsys.readouterr().out

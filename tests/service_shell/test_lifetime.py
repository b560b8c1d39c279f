"""A service's life: its ready line, the three ways to end it, and what ends it with code 2."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

SECONDS = 30


@contextmanager
def living(
    work: str, *, stdin: int = subprocess.DEVNULL, **environ: str
) -> Iterator[subprocess.Popen[str]]:
    """Run the program; whatever happens, it ends with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.service_shell.living", work],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environ},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def ready_line(process: subprocess.Popen[str]) -> dict[str, str]:
    """Wait for the first line of the standard output."""
    assert process.stdout is not None
    line = process.stdout.readline()
    said: dict[str, dict[str, str]] = json.loads(line)
    assert set(said) == {"ready"}
    return said["ready"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(number: signal.Signals) -> None:
    """One JSON line says that it is ready; the signal lets it finish, and the exit code is 0."""
    with living("wait") as process:
        assert ready_line(process)["door"] == "http://127.0.0.1:1"
        process.send_signal(number)
        process.send_signal(number)  # an impatient second one changes nothing
        out, told = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (0, "")
    assert told.count("Stopping was asked for") == 1
    assert number.name in told
    assert "ended in order" in told
    assert "Traceback" not in told


def test_a_closed_parent_pipe_ends_it() -> None:
    """When the parent is gone, in whatever way, the child ends by itself; what it said is read."""
    with living("wait", stdin=subprocess.PIPE, RECLAB_PARENT_PIPE="stdin") as process:
        ready_line(process)
        assert process.stdin is not None
        process.stdin.write("nothing is expected here\n" * 1000)
        process.stdin.flush()
        assert process.poll() is None
        _, told = process.communicate(timeout=SECONDS)  # closes its input
    assert process.returncode == 0
    assert "the parent process ended" in told


def test_without_the_wish_a_closed_input_ends_nothing() -> None:
    """A service that a person started in the background does not end with its input."""
    with living("wait", stdin=subprocess.PIPE) as process:
        ready_line(process)
        assert process.stdin is not None
        process.stdin.close()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)


@pytest.mark.parametrize(
    ("work", "sentence"),
    [
        ("refuse", "living: `listen` is taken\n"),
        ("refuse_in_groups", "living: `capture.ports` is no range\n"),
    ],
)
def test_a_setting_ends_it_with_code_2(work: str, sentence: str) -> None:
    """One sentence on standard error and nothing else, from however deep it comes."""
    with living(work) as process:
        out, told = process.communicate(timeout=SECONDS)
    assert (process.returncode, out, told) == (2, "", sentence)


def test_a_fault_is_no_setting() -> None:
    """What is a fault of the program is not hidden behind a setting that came with it."""
    with living("fail") as process:
        _, told = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert "ValueError: a fault" in told


def test_an_input_that_is_no_pipe_is_a_setting() -> None:
    """The wish to watch a parent's pipe cannot be met without one; it is told in one sentence."""
    with living("wait", RECLAB_PARENT_PIPE="stdin") as process:
        out, told = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (2, "")
    assert told == "living: RECLAB_PARENT_PIPE=stdin: the standard input is not a pipe\n"


def test_it_may_end_by_itself() -> None:
    """A service whose work is done ends with code 0."""
    with living("end") as process:
        process.communicate(timeout=SECONDS)
    assert process.returncode == 0


def test_nobody_reads_its_ready_line() -> None:
    """A parent that is gone before the child is ready: the child ends in order, without a trace."""
    with living("wait") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        told = process.stderr.read()
        process.wait(SECONDS)
    assert process.returncode == 0
    assert "nobody reads the standard output" in told
    assert "Traceback" not in told
    assert "Exception" not in told


def test_it_leaves_no_core_dump() -> None:
    """A service's memory holds session keys: a crash must not write it to a disk."""
    with living("wait") as process:
        assert ready_line(process)["core"] == "(0, 0)"

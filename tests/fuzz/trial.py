"""One input given to one parser, measured: what came of it, and whether that breaks a rule.

The rules: no exception but the parser's own documented ones, no more than `MOST_SECONDS` of
processor time (measured again before it counts), no more than `MOST_MEMORY` of memory (looked at
in a sample of the inputs; beyond `ADDRESS_SPACE` the kernel refuses it in every one), and nothing
that stays (`lasting_memory`).
"""

from __future__ import annotations

import gc
import random
import signal
import time
import traceback
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from tests.fuzz.mutation import damaged

MOST_SECONDS = 0.050
DOUBTFUL_SECONDS = 0.005
MOST_MEMORY = 64 << 20
ADDRESS_SPACE = 2 << 30
"""Bytes that a child may map beyond what it has mapped at its start."""
PATIENCE = 2.0
"""Seconds of processor time after which an input is given up."""
MOST_LASTING = 200
"""Bytes that may stay behind an input, on average: tracemalloc itself is in it."""
MEMORY_SAMPLE = 200
"""Every so many-th input is run once more with its memory counted."""


@dataclass(frozen=True)
class Parser:
    """`run` reads one input; `errors` are all that it may raise."""

    name: str
    corpus: Callable[[], Sequence[bytes]]
    run: Callable[[bytes], object]
    errors: tuple[type[Exception], ...]


@dataclass(frozen=True)
class Finding:
    """An input that breaks a rule; `kind` is the same for the same flaw."""

    parser: str
    number: int
    kind: str
    text: str
    data: bytes


class HangError(BaseException):
    """The input took more than `PATIENCE`; no parser may catch this."""


def input_of(parser: Parser, corpus: Sequence[bytes], seed: int, number: int) -> bytes:
    """Return the input of that number; the first ones are the corpus as it is."""
    if number < len(corpus):
        return corpus[number]
    return damaged(random.Random(f"{seed}/{parser.name}/{number}"), corpus)


def try_input(parser: Parser, data: bytes, number: int = 0) -> tuple[float, Finding | None]:
    """Run one input; return its processor seconds and what is wrong, None when nothing is."""
    seconds, flaw = _timed(parser, data)
    if flaw is None and seconds > DOUBTFUL_SECONDS:
        # Measured again: only what is slow each time is slow by itself (and no garbage collection).
        seconds = min([seconds, *(_timed(parser, data)[0] for _ in range(3))])
        if seconds > MOST_SECONDS:
            flaw = "slow", f"it took {seconds * 1000:.0f} ms of processor time"
    if flaw is None and number % MEMORY_SAMPLE == 0:
        flaw = _memory_flaw(parser, data)
    finding = Finding(parser.name, number, *flaw, data) if flaw else None
    return seconds, finding


def lasting_memory(parser: Parser, inputs: Sequence[bytes]) -> int:
    """Return how many bytes stay behind each input that has been read before, on average.

    The same inputs twice beforehand fill what is kept on purpose.
    """
    for data in (*inputs, *inputs):
        _timed(parser, data)
    gc.collect()
    tracemalloc.start()
    try:
        for data in inputs:
            _timed(parser, data)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] // len(inputs)
    finally:
        tracemalloc.stop()


def _timed(parser: Parser, data: bytes) -> tuple[float, tuple[str, str] | None]:
    flaw = None
    started = time.process_time()
    try:
        with _given_up(PATIENCE):
            parser.run(data)
    except parser.errors:
        pass
    except HangError:
        flaw = "hang", f"it was given up after {PATIENCE:g} s of processor time"
    except Exception as error:  # noqa: BLE001  # whatever else it is, is what is looked for
        flaw = _described(error)
    return time.process_time() - started, flaw


def _memory_flaw(parser: Parser, data: bytes) -> tuple[str, str] | None:
    tracemalloc.start()
    try:
        _timed(parser, data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    if peak <= MOST_MEMORY:
        return None
    return "memory", f"it took {peak >> 20} MiB of memory for {len(data)} bytes"


@contextmanager
def _given_up(seconds: float) -> Iterator[None]:
    """Raise `HangError` after so much processor time; the kernel ends the process after ten-fold.

    The latter is for code that never comes back to the interpreter.
    """

    def give_up(_signal: int, _frame: FrameType | None) -> None:
        raise HangError

    previous = signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    signal.setitimer(signal.ITIMER_PROF, 10 * seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGVTALRM, previous)


def _described(error: Exception) -> tuple[str, str]:
    """Name a flaw by the error and the line that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/tests/" not in frame.filename] or list(frames)
    last = ours[-1]
    kind = f"{type(error).__name__} at {last.filename.rpartition('/')[2]}:{last.lineno}"
    return kind, "".join(traceback.format_exception(error, limit=-8))

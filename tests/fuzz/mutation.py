"""Damage done to real messages: the same random numbers give the same bytes."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

MAX_INPUT = 70_000
"""Bytes: mutations that make inputs longer stop here."""

_NUMBER = re.compile(rb"[0-9]+")
_WORD = re.compile(rb"[A-Za-z][A-Za-z0-9_.\-]*")

NUMBERS = (
    b"0", b"-1", b"00", b"1e999", b"0x7f", b"255", b"256", b"65535", b"65536", b"2147483648",
    b"4294967296", b"18446744073709551616", b"9" * 40, b"9" * 5000, b"NaN", b"-0.0", b"1.5",
    "\u0663".encode(), "\u00b2".encode(),
)  # fmt: skip
JUNK = (
    b"\0", b"\xff", b"\xc0\xae", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"\xfe\xff",
    "\u0085".encode(), "\u2028".encode(), "\u00e4\U0001f4a9".encode(), b"\\ud800", b"\\u0000",
    b"%00", b"%zz", b"%c0%ae", b"&#0;", b"&#xD800;", b"&a;", b"<![CDATA[", b"<!DOCTYPE a [", b"]]>",
    b"<!--", b"<?xml version='1.0' encoding='utf-16'?>", b"=?utf-8?q?=00?=",
    b"\r\n", b"\n", b"\r", b"\r\n ", b"\r\n\r\n", b"\t", b" ", b";self=1", b";self", b";=", b";;",
    b",", b"<", b">", b'"', b"\\", b"\\\"", b"@", b":", b"[", b"]", b"{", b"}", b"--", b"/", b"..",
    b"\x30\x80", b"\x30\x84\xff\xff\xff\xff", b"\x04\x82\xff\xff", b"\0\0", b"\xa0\x80",
    b"\x24\x80",
)  # fmt: skip

Mutation = Callable[[random.Random, bytes, Sequence[bytes]], bytes]


def damaged(chance: random.Random, corpus: Sequence[bytes]) -> bytes:
    """Return one of the corpus after one to six mutations (mostly few)."""
    data = chance.choice(corpus)
    for _ in range(min(1 + int(chance.expovariate(0.7)), 6)):
        data = chance.choice(MUTATIONS)(chance, data, corpus)[:MAX_INPUT]
    return data


def _flip(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Flip single bits."""
    changed = bytearray(data)
    for _time in range(chance.choice((1, 1, 2, 8)) if data else 0):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _overwrite(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Put random bytes over some."""
    at, count = chance.randint(0, len(data)), chance.randint(1, 8)
    return data[:at] + chance.randbytes(count) + data[at + count :]


def _cut(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Keep the beginning only."""
    return data[: chance.randint(0, len(data))]


def _remove(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Take a piece out."""
    begin, end = _piece(chance, data)
    return data[:begin] + data[end:]


def _repeat(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Repeat a piece, now and then very often."""
    begin, end = _piece(chance, data)
    times = chance.choice((2, 2, 3, 10, 100, 3000))
    return data[:begin] + data[begin:end] * times + data[end:]


def _repeat_line(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Repeat a whole line, which a structure of text survives."""
    lines = data.splitlines(keepends=True)
    if not lines:
        return data
    at = chance.randrange(len(lines))
    return b"".join([*lines[:at], lines[at] * chance.choice((2, 5, 120, 1000)), *lines[at + 1 :]])


def _swap_lines(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Let two lines change places, or drop one."""
    lines = data.splitlines(keepends=True)
    if len(lines) < 2:
        return data
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    if one == other:
        del lines[one]
    else:
        lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


def _splice(chance: random.Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    """Join the beginning of one message and the end of another."""
    other = chance.choice(corpus)
    return data[: chance.randint(0, len(data))] + other[chance.randint(0, len(other)) :]


def _insert(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Put in what is hard to read: odd encodings, delimiters, lengths."""
    at = chance.randint(0, len(data))
    return data[:at] + chance.choice(JUNK) * chance.choice((1, 1, 1, 2, 500)) + data[at:]


def _number(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Replace a number by one that is too large, negative or none."""
    return _replace(chance, data, _NUMBER, chance.choice(NUMBERS))


def _word(chance: random.Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    """Replace a word by another one of the corpus."""
    words = _WORD.findall(chance.choice(corpus)[:4000])
    return _replace(chance, data, _WORD, chance.choice(words)) if words else data


def _replace(chance: random.Random, data: bytes, what: re.Pattern[bytes], new: bytes) -> bytes:
    found = what.search(data, chance.randint(0, len(data))) or what.search(data)
    return data[: found.start()] + new + data[found.end() :] if found else data


def _piece(chance: random.Random, data: bytes) -> tuple[int, int]:
    begin = chance.randint(0, len(data))
    return begin, min(len(data), begin + int(chance.expovariate(0.05)) + 1)


MUTATIONS: tuple[Mutation, ...] = (
    _flip, _flip, _overwrite, _cut, _remove, _repeat, _repeat_line, _swap_lines, _splice, _insert,
    _insert, _number, _word,
)  # fmt: skip

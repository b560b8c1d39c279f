"""The table of chains: each is accepted, or refused by its own error and sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.recording_format.openssl import openssl

from .bad_rows import bad_rows
from .good_rows import good_rows
from .row import Row
from .weak_rows import weak_rows

ROWS = [*good_rows(), *bad_rows(), *weak_rows()]


def test_the_table_is_long_and_its_titles_differ() -> None:
    """There are more than 60 rows, good and bad, and none of them stands there twice."""
    assert len(ROWS) >= 100
    assert len({row.title for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.title)
def test_chain(row: Row) -> None:
    """The chain is accepted, or refused in one sentence with the subject, its serial and a date."""
    refused = row.verdict()
    assert type(refused) is (row.refused or type(None)), refused
    if refused is not None:
        sentence = str(refused)
        assert re.search(row.sentence, sentence), sentence
        assert re.match(r"the certificate .* \(serial -?\d+, c\.pem\)", sentence), sentence
        assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", sentence), sentence
        assert "\n" not in sentence


@pytest.mark.peer
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.title)
def test_openssl_verify_agrees(tmp_path: Path, row: Row) -> None:
    """`openssl verify` says the same, except where the row says why not."""
    (tmp_path / "ca.pem").write_bytes(row.text)
    (tmp_path / "leaf.pem").write_text(row.leaf.pem)
    anchors = ["-CAfile", "ca.pem"] if row.text else ["-no-CAfile"]
    moment = ["-attime", str(int(row.now.timestamp()))]
    options = [*anchors, "-no-CApath", "-no-CAstore", "-check_ss_sig", *moment]
    run = openssl("verify", *options, "leaf.pem", folder=tmp_path, check=False)
    agrees = (run.returncode == 0) == (row.refused is None)
    assert agrees == (not row.differs), run.stderr

"""What a person sees while a command works on a keystore, and when it is refused."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from crypto_server.errors import KeystoreError
from reclab.cert.server import Refused


@contextmanager
def doing(what: str) -> Iterator[None]:
    """Show that something goes on; what was refused is its sentence and exit code 1."""
    try:
        with Console(stderr=True).status(what):
            yield
    except (KeystoreError, Refused) as error:
        sys.stderr.write(f"reclab: {error}\n")
        raise typer.Exit(1) from None

"""The command line ``reclab``: what is wrong with the input or the surroundings is one sentence.

Exit codes: 0 all is well, 1 something was found wrong, 2 the input or the surroundings are,
130 ended by Ctrl-C.
"""

from __future__ import annotations

import errno
import io
import os
import sys

from reclab.stopping import INTERRUPTED
from service_shell.descriptors import forbid_core_dumps
from service_shell.settings import SettingsError


def main() -> None:
    """Run the command line."""
    forbid_core_dumps()  # most commands hold passwords, some hold keys
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show … gets a ?
    try:
        # Here, because it takes half a second, in which Ctrl-C shall give no traceback either.
        from reclab.commands import app  # noqa: PLC0415

        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except SettingsError as error:
        sys.stderr.write(f"reclab: {error}\n")
        sys.exit(2)
    except OSError as error:
        where = error.filename
        if where is None and error.errno == errno.ENOSPC:
            where = "standard output"
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left has nowhere to go
        if where is None:
            raise
        sys.stderr.write(f"reclab: {where}: {(error.strerror or '').lower()}\n")
        sys.exit(2)

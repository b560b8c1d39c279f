"""What holds for all tests: hypothesis draws the same examples in every run.

A test that fails now and then says nothing about the change that it failed on. To search further,
with other examples each time: ``RECLAB_EXPLORE=1 make test``.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("steady", derandomize=True, database=None)
settings.register_profile("explore", print_blob=True)
settings.load_profile("explore" if os.environ.get("RECLAB_EXPLORE") == "1" else "steady")

"""``python -m recording_processor --config FILE.toml``."""

from __future__ import annotations

import sys

from recording_processor.app import main

if __name__ == "__main__":
    sys.exit(main())

"""``python -m crypto_server --config FILE.toml``."""

import sys

from crypto_server.app import main

sys.exit(main())

"""``python -m webdav_store``."""

import sys

from webdav_store.app import main

sys.exit(main())

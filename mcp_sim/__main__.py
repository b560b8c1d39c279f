"""``python -m mcp_sim --config FILE``: the media control platform."""

import sys

from mcp_sim.app import main

sys.exit(main(sys.argv[1:]))

"""``python -m reclab`` is the command ``reclab``."""

from reclab.cli import main

main()

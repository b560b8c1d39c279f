"""kill -9 of the platform under load, again and again: what must be recorded is recorded, once."""

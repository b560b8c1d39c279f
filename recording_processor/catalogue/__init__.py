"""The catalogue: what the processor knows and must never forget, in one SQLite file."""

"""The archive: recordings in the order of their ends, and as one zip that is never held whole."""

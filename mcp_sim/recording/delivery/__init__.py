"""Bringing what is ready to its store and its processor, until both have it."""

"""Recordings on their way, as folders on disk."""

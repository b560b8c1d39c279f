"""A spool with recordings that are ready, and destinations that do what a test tells them."""

from __future__ import annotations

from tests.mcp_sim.recording.conftest import keyring, scene, spool

__all__ = ["keyring", "scene", "spool"]

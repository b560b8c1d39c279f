"""Tests of the load generator: what it sends, and the check that proves what was stored."""

"""Tests of the re-wrap."""

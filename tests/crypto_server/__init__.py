"""Tests of the crypto server."""

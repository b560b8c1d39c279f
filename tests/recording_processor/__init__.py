"""Tests of the recording processor."""

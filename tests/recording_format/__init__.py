"""Tests of recording_format: the contract that all programs share."""

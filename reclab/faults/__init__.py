"""Faults on purpose in a running lab."""

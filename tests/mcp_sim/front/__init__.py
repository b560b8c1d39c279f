"""Tests of the front: invitations, placement, profiles, recipients, the talk with callers."""

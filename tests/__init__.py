"""Tests of reclab, one folder per room."""

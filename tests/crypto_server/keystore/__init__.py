"""Tests of the keystore."""

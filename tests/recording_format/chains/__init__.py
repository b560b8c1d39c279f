"""Chains of certificates: a table, random ones, and those that nobody would make."""

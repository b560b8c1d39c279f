"""Receiving: a process of its own that takes datagrams and appends them to journals."""

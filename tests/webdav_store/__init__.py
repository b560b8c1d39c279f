"""Tests of the store, most of them against a real store process over real sockets."""

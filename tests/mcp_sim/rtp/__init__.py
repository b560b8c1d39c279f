"""Tests of RTP: parsing, receiving and sending."""

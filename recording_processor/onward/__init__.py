"""Onward: what was filed goes on to the recording web services, or is kept until it can."""

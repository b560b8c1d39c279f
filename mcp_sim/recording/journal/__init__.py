"""The journal of a call: sealed frames, written while it runs, read when it is over."""

"""The capacity benchmark: calls in steady state, and what they cost."""

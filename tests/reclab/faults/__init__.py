"""``reclab faults``."""

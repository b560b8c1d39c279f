"""``reclab catalogue``."""

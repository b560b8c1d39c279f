"""``reclab cert``."""

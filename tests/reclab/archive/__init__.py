"""The command `reclab archive`."""

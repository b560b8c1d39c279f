"""The administration of recording certificates."""

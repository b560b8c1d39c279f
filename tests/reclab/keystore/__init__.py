"""``reclab keystore``."""

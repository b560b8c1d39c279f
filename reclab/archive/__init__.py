"""``reclab archive``: recordings out of a lab into folders or a zip, still encrypted, resumable."""

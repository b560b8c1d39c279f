"""The recordings' storage: WebDAV with one law of its own. A file is there whole, or not at all."""

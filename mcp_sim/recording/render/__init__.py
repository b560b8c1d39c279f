"""From a finished journal to a sealed audio file, in supervised worker processes."""

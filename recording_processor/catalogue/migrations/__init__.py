"""The steps that bring a catalogue from any earlier form to the present one (Alembic)."""

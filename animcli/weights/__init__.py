"""Model files: what exists, where it is, how it is checked."""

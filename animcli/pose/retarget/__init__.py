"""A motion fitted to the proportions of another figure."""

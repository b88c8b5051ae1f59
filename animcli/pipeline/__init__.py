"""The engine: stages, what runs them, their cache, and what they put where."""

"""The project directory: its settings, its cache, and writes that are whole or absent."""

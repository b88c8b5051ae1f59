"""The local page: a second face of the command line, with nothing of its own."""

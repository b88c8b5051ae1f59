"""The command `batch`: its words, run and view, and a job in the process of a slot."""

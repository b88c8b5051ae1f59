"""Many jobs: job files, a queue with a journal, and the slots that work it off."""

"""Files in, one file out: what the commands are made of."""

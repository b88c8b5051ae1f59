"""Answers of each address, by topic. No address takes a path: files have digests."""

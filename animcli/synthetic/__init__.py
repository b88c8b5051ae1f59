"""Procedural people with known joints: for the demo, the tests and training."""

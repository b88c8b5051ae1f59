"""Procedural people with known keypoints: for the demo, the tests and training."""

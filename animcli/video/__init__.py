"""Frames out of videos and pictures, and back into them."""

"""From a reference and a motion to frames."""

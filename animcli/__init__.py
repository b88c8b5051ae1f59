"""anim: one picture dances like one video."""

__version__ = "0.1.0"

"""Words in, a plan out, lines on the screen."""

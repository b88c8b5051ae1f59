"""The papers' metrics, and what a result without a ground truth can be told."""

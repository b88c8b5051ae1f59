"""What several tests share: clips, motions, models and stages made in code."""

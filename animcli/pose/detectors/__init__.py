"""Networks that find people, their keypoints or their parts in pictures."""

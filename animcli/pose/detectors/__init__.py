"""Networks that find people, their joints or their parts in pictures."""

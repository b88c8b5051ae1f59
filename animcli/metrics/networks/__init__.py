"""Networks that pictures, clips and faces are compared by: torch, nothing else of ours."""

"""Training the diffusion networks."""

"""All trained networks."""

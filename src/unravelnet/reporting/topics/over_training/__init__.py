"""Path lengths over training."""

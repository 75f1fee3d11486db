"""Training: data, losses, loop and checkpoints."""

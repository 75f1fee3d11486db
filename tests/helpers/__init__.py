"""What several tests make: small videos, models, checkpoints and people."""

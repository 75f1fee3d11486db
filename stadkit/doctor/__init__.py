"""What this machine has, whether it works, and a self-test."""

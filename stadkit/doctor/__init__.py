"""Facts and checks about this machine, and a self-test."""

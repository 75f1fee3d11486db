"""Checkpoints under other code bases' names -> ours, one file a code base."""

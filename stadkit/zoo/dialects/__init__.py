"""Rename tensors of other code bases' checkpoints to our names, one file per code base."""

"""Torch pieces that at least two models use."""

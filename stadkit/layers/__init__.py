"""Torch building blocks shared by at least two models."""

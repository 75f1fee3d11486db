"""Video input and output: pixels and timestamps, independent of models."""

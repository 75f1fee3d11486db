"""Video in and out: pixels and seconds, nothing about models."""

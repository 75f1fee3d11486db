"""Annotation and prediction files: disk <-> table."""

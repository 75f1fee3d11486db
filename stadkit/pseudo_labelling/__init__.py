"""Pseudo-labelling of whole data sets: what `stadkit pseudo-label` reads, runs and writes."""

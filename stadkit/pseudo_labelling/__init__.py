"""Pseudo-labelling of whole data sets: the inputs, jobs and outputs of `stadkit pseudo-label`."""

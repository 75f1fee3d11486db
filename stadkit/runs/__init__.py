"""Folders of results, and the resumable work that fills them."""

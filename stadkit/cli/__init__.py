"""The command line: one file a verb, `app.py` puts them together."""

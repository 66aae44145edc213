"""Damaged and hostile inputs for every reader, by the million: `python -m tests.fuzz --help`."""

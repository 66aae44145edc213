"""Scans of archives piece by piece: the work, who does it, and what of it is kept."""

"""The report of a scan: gathered piece by piece in bounded memory, written as one HTML page."""

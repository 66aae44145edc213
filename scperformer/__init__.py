"""scperformer: a real-time seismic phase picker for SeisComP, SeedLink and archives."""

__version__ = "0.1.0"

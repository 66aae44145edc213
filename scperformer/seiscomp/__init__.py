"""The SeisComP module: a StreamApplication around the pipeline."""

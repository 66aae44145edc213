"""Records with labels: reading, cutting, splits, SeisBench's layout, files of windows."""

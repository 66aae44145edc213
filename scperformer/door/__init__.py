"""The Python door: `load` gives a `Picker`, which is the engine of `scan` and `stream`."""

"""The networks: Keras models, weights, model folders and the compiled classifier."""

"""Models trained on their own: denoisers of pixels and latents, the autoencoder, classifiers and evaluators."""

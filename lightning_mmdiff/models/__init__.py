"""What is trained alone: denoisers of pixels and latents, autoencoder, classifiers, evaluators."""

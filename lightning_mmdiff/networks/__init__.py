"""Architectures as modules with a config each; none knows how it is trained."""

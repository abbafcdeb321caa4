"""Metrics as functions of images or features, and the networks that compute the features."""

"""Architectures as modules, each with a config; all are independent of training."""

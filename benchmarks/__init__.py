"""Timings against plain references, each pair within one run."""

"""Timings against plain references, each pair in one run."""

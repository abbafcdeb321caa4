"""Training batches: rows by step, holes, randomness."""

"""What a training or a sampling does between its steps: averages, seeds, curves, progress, checkpoints, shards."""

"""Work between the steps of training or sampling: averages, seeds, curves, progress, checkpoints, shards."""

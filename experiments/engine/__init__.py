"""What a command does: flags, loop over runs, workers, stages, requeueing."""

"""What a command does: its flags, the loop over runs, workers, stages, the way back into a queue."""

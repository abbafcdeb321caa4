"""Support for sharing, stopping and resuming a run: locks, atomic files, signals, checkpoints."""

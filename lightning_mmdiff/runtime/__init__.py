"""What lets a run be shared, stopped and gone on with: locks, atomic files, signals, checkpoints."""

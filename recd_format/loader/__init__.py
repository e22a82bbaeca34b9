"""Files to batches, each in one buffer: NumPy only."""

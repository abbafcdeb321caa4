"""Ways to make images of trained models: uniting, composing, guiding, restoring, editing."""

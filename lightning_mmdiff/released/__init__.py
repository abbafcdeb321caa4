"""Models that others have trained and published, by name."""

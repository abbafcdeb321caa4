"""Published models trained by others, by name."""

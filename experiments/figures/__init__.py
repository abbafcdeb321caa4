"""What a report shows besides its numbers: galleries and influence maps."""

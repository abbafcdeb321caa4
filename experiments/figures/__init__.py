"""What a report shows beside its numbers: galleries and influence maps."""

"""Settings of each paper by profile: PAPER as published, then MINI and SMOKE, which name what they make smaller."""

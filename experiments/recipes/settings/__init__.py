"""Settings of each paper by profile: PAPER as published, then MINI and SMOKE, which list what they reduce."""

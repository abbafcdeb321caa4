"""Settings of the papers as runs, and what small profiles make smaller."""

"""Settings of the papers as runs, and what small profiles reduce."""

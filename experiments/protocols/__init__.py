"""How samples are measured, one file for each kind of protocol."""

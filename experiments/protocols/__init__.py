"""How samples are measured: one file per kind of protocol."""

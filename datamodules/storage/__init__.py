"""How a data set is read, checked and packed once, whoever else does the same."""

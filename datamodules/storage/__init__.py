"""Reading, checking and packing of a data set, once even if several processes try."""

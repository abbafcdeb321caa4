"""Shared code of the data sets of labeled or paired images: files, packed arrays, splits."""

"""Shared code of the face data sets: files, reading and packing of faces, splits, captions."""

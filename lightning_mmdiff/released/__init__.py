"""Published models trained by others, by name.

Each file is described by a ``checkpoint.PublishedFile`` and can be converted; helpers in the formats of other libraries are only
in the catalogue.
"""

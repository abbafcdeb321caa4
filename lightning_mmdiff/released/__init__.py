"""Published models trained by others, by name.

Files of diffusion models are described by a ``checkpoint.PublishedFile`` and can be converted; those of the baselines are only
read (``renaming.py``).
"""

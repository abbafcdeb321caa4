"""Data sets as LightningDataModules: one file each, listed in the catalogue."""

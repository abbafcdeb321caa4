"""Renderers of small stand-ins for the data sets, in the official layouts."""

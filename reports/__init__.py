"""Readable tables (terminal, Markdown, LaTeX, CSV, notebook, HTML), made from files alone and without torch."""

"""Tables as people read them (terminal, Markdown, LaTeX, CSV, notebook, HTML), made from files, without torch."""

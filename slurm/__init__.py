"""SLURM: one readable job per run of a table, chained. ``python -m slurm.submit table1 --profile paper``."""

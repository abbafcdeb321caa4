"""Chains of SLURM jobs, one readable job per run of a table: ``python -m slurm.submit table1 --profile paper``."""

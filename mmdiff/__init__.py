"""One command for everything: ``mmdiff {list,run,report,doctor,prefetch,slurm}``."""

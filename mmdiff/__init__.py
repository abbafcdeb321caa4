"""One command for everything: ``mmdiff {list,run,demo,report,doctor,prefetch,slurm}``."""

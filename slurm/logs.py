"""Logs of jobs: which there are, and what the last of them says."""

import re
from collections.abc import Sequence
from glob import escape
from pathlib import Path

OURS = re.compile(r"^error: (.*)$")
"""Error of our command line."""
CONSEQUENCE = re.compile(r"srun: (?!error: )|srun: error: \S+: tasks? [\d,\[\]-]+: ")
"""Lines in which SLURM says that a job ended, not why."""
PREFIX = re.compile(r"^(srun|slurmstepd\S*): error: ")
SCRIPT = re.compile(r"^\S*/slurm_script: line \d+: ")


def closing_line(label: str) -> str:
    """Return the line that a script prints when its command has succeeded."""
    return f"{label} is done"


def logs(folder: Path, label: str, number: str) -> list[Path]:
    """Return the logs of a job that exist, in the order of its array tasks."""
    tasks = folder.glob(f"{escape(label)}-{number}_*.log")
    found = [folder / f"{label}-{number}.log", *sorted(tasks, key=lambda path: int(path.stem.rpartition("_")[2]))]
    return [path for path in found if path.is_file()]


def last_words(paths: Sequence[Path]) -> str:
    """Return the reason in the logs: our last error, else the last line that is no mere consequence; "" if there is none."""
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in paths]
    lines = [line.strip() for text in texts for line in text.splitlines() if line.strip()]
    ours = [found[1] for line in lines if (found := OURS.match(line))]
    causes = ours or [line for line in lines if not CONSEQUENCE.match(line)] or lines or [""]
    return SCRIPT.sub("", PREFIX.sub("", causes[-1])).strip("* ")

"""What a test asks about the jobs of the toy table."""

from pathlib import Path

from slurm.status import Line, survey_jobs


def state(cluster: Path) -> dict[str, Line]:
    return {line.name: line for line in survey_jobs(cluster / "runs" / "smoke")}


def started(cluster: Path) -> list[str]:
    path = cluster / "done.txt"
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []

"""The limits of a SLURM cluster, read from a TOML file that the user writes once (``slurm/cluster.example.toml``)."""

import math
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lightning_mmdiff.errors import MissingFileError, UserError
from lightning_mmdiff.runtime.files import read_text

MAY_BE_0 = ("gpus_per_node", "gpu_memory_gib", "memory_per_task_gib")
DEFAULT_PATH = Path("slurm/cluster.toml")


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """One TOML file without sections; every key is optional, and these are the defaults."""

    partition: str = ""
    """Partition of the jobs that use GPUs; empty uses the cluster's default."""
    cpu_partition: str = ""
    """Partition of the others (data, reports, all jobs of smoke and mini); empty uses the cluster's default."""
    account: str = ""
    qos: str = ""
    options: tuple[str, ...] = ()
    """Further options of sbatch, one per line: "--mail-type=FAIL", "--constraint=a100"."""
    gpu_option: str = "--gpus-per-node={gpus}"
    """Option that requests GPUs on this cluster; some need "--gres=gpu:a100:{gpus}"."""
    gpus_per_node: int = 8
    gpu_memory_gib: float = 80.0
    """Memory of one GPU."""
    gpu_speed: float = 1.0
    """Speed of one GPU relative to an A100; divides the estimated hours."""
    nodes: int = 1
    """Number of nodes that one job may request."""
    cpus_per_task: int = 8
    memory_per_task_gib: int = 0
    """Main memory of one process; 0 leaves it to the cluster."""
    max_hours: float = 24.0
    """Longest time limit of a job. A longer run saves, is requeued and resumes."""
    notice_seconds: int = 120
    """Seconds before its time limit at which a job is told to save: more than one step and one checkpoint take."""
    sampling_jobs: int = 1
    """Number of jobs that share the images of one sample run."""
    modules: tuple[str, ...] = ()
    """Arguments of ``module load``."""
    setup: tuple[str, ...] = ()
    """Shell lines before the command: "source .venv/bin/activate", "export MMDIFF_WEIGHTS=/project/weights"."""
    container: str = ""
    """Prefix of the command: "apptainer exec --nv --bind /data /project/mmdiff.sif"."""
    python: str = ""
    """Interpreter inside the job, after ``modules`` and ``setup``; empty uses the one that submits."""


def read_cluster(path: Path | None) -> Cluster:
    """Read a cluster file; None reads ``slurm/cluster.toml``, or returns the defaults if that does not exist.

    Raises:
        MissingFileError: if the file does not exist.
        UserError: if the file is not TOML, or has an unknown key or a value of the wrong type.
    """
    if path is None:
        if not DEFAULT_PATH.is_file():
            return Cluster()
        path = DEFAULT_PATH
    if not path.is_file():
        raise MissingFileError(f"{path}: no cluster file; copy slurm/cluster.example.toml there and fill it in.")
    try:
        values = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: not readable as TOML ({error}); compare slurm/cluster.example.toml.") from error
    defaults = {f.name: f.default for f in fields(Cluster)}
    unknown = sorted(values.keys() - defaults.keys())
    if unknown:
        raise UserError(f"{path}: unknown key {', '.join(unknown)}; there are {', '.join(defaults)}.")
    cluster = Cluster(**{key: _checked(path, key, value, defaults[key]) for key, value in values.items()})
    _require_sound(path, cluster)
    return cluster


def _require_sound(path: Path, cluster: Cluster) -> None:
    for field in fields(Cluster):
        value = getattr(cluster, field.name)
        if isinstance(value, int | float) and not (0 < value < math.inf or (value == 0 and field.name in MAY_BE_0)):
            raise UserError(f"{path}: {field.name} is {value}; it must be a finite number above 0.")
        words = [value] if isinstance(value, str) else value if isinstance(value, tuple) else []
        if field.name != "setup" and any(not word.isprintable() for word in words):
            raise UserError(f"{path}: {field.name} is {value!r}; it must be of one line: further lines go to setup.")
    try:
        right = "{gpus}" in cluster.gpu_option and bool(cluster.gpu_option.format(gpus=1))
    except (LookupError, ValueError, AttributeError):
        right = False
    if not right:
        raise UserError(
            f"{path}: gpu_option is {cluster.gpu_option!r}; it must say where {{gpus}} goes, and have no other braces."
        )


def _checked(path: Path, key: str, value: Any, default: Any) -> Any:
    """Return ``value`` converted to the type of ``default``."""
    if isinstance(default, tuple) and isinstance(value, list) and all(isinstance(v, str) for v in value):
        return tuple(value)
    if isinstance(default, float) and type(value) in (int, float):
        return float(value)
    if type(value) is type(default):
        return value
    wanted = "a list of strings" if isinstance(default, tuple) else f"of type {type(default).__name__}"
    raise UserError(f"{path}: {key} is {value!r}; it must be {wanted}.")

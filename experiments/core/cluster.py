"""What a SLURM cluster grants, read from a TOML file that the user writes once (``slurm/cluster.example.toml``)."""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lightning_mmdiff.errors import MissingFileError, UserError

DEFAULT_PATH = Path("slurm/cluster.toml")


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """One section-free TOML file; every key is optional, and these are the defaults."""

    partition: str = ""
    """Partition of the jobs that train and sample; empty is the cluster's default."""
    cpu_partition: str = ""
    """Partition of the jobs that prepare data and write reports; empty is ``partition``."""
    account: str = ""
    qos: str = ""
    options: tuple[str, ...] = ()
    """Further options of sbatch, one a line: "--mail-type=FAIL", "--constraint=a100"."""
    gpu_option: str = "--gpus-per-node={gpus}"
    """How the cluster wants GPUs to be asked for; some want "--gres=gpu:a100:{gpus}"."""
    gpus_per_node: int = 8
    gpu_memory_gib: float = 80.0
    """Of one GPU."""
    gpu_speed: float = 1.0
    """Of one GPU, relative to an A100; divides the estimated hours."""
    nodes: int = 1
    """Nodes that one job may ask for."""
    cpus_per_task: int = 8
    memory_per_task_gib: int = 0
    """Main memory of one process; 0 leaves it to the cluster."""
    max_hours: float = 24.0
    """Longest time limit of a job. A longer run saves, is queued again, and goes on."""
    notice_seconds: int = 120
    """So long before its time limit a job is told to save: longer than one step and one checkpoint."""
    sampling_jobs: int = 1
    """Jobs that share the images of one sample run."""
    modules: tuple[str, ...] = ()
    """Arguments of ``module load``."""
    setup: tuple[str, ...] = ()
    """Shell lines before the command: "source .venv/bin/activate", "export MMDIFF_WEIGHTS=/project/weights"."""
    container: str = ""
    """Put before the command: "apptainer exec --nv --bind /data /project/mmdiff.sif"."""
    python: str = ""
    """Interpreter inside the job, after ``modules`` and ``setup``; empty is the one that submits."""


def read_cluster(path: Path | None) -> Cluster:
    """Read a cluster file; None is ``slurm/cluster.toml``, or the defaults where that does not exist.

    Raises:
        MissingFileError: if it is not there.
        UserError: for a file that is no TOML, an unknown key or a value of another type.
    """
    if path is None:
        if not DEFAULT_PATH.is_file():
            return Cluster()
        path = DEFAULT_PATH
    if not path.is_file():
        raise MissingFileError(f"{path}: no cluster file; copy slurm/cluster.example.toml there and fill it in.")
    try:
        values = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: not readable as TOML ({error}); compare slurm/cluster.example.toml.") from error
    defaults = {f.name: f.default for f in fields(Cluster)}
    unknown = sorted(values.keys() - defaults.keys())
    if unknown:
        raise UserError(f"{path}: unknown key {', '.join(unknown)}; there are {', '.join(defaults)}.")
    cluster = Cluster(**{key: _checked(path, key, value, defaults[key]) for key, value in values.items()})
    for name in ("max_hours", "gpu_speed", "sampling_jobs", "cpus_per_task", "nodes", "notice_seconds"):
        if getattr(cluster, name) <= 0:
            raise UserError(f"{path}: {name} is {getattr(cluster, name)}; it must be above 0.")
    if "{gpus}" not in cluster.gpu_option:
        raise UserError(f"{path}: gpu_option is {cluster.gpu_option!r}; it must say where {{gpus}} goes.")
    return cluster


def _checked(path: Path, key: str, value: Any, default: Any) -> Any:
    """``value`` in the type of ``default``."""
    if isinstance(default, tuple) and isinstance(value, list) and all(isinstance(v, str) for v in value):
        return tuple(value)
    if isinstance(default, float) and type(value) in (int, float):
        return float(value)
    if type(value) is type(default):
        return value
    wanted = "a list of strings" if isinstance(default, tuple) else f"of type {type(default).__name__}"
    raise UserError(f"{path}: {key} is {value!r}; it must be {wanted}.")

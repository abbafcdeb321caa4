"""How this process was started: by hand or by ``srun``, alone or as one of several, as the environment says."""

import os
from collections.abc import Sequence

import torch

from experiments.core.costs import on_gpus, processes
from experiments.core.provenance import is_first_process
from experiments.engine.requeue import job_id
from experiments.runs import Run, TrainRun
from experiments.spec import Profile
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.processes import environment_number

NUMBERS = ("SLURM_NTASKS", "SLURM_NTASKS_PER_NODE", "SLURM_NNODES", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID")
"""Variables that Lightning reads as numbers."""
GRANTED = {
    "SLURM_JOB_GPUS": "",
    "SLURM_STEP_GPUS": "",
    "SLURM_GPUS_ON_NODE": "0",
    "SLURM_GPUS_PER_NODE": "0",
    "SLURM_GPUS": "0",
}
"""Variables by which SLURM says that a job has GPUs -> their value without any: the first two list numbers, from 0."""
INTERACTIVE = ("bash", "interactive")
"""Names of jobs in which Lightning starts processes itself."""


def check_gpu(profile: Profile) -> None:
    """Raise UserError in a SLURM job that has a GPU, or needs one, and sees none: it would train on the CPU for ever."""
    job = job_id()
    if job is None or torch.cuda.is_available():
        return
    granted = next((name for name, none in GRANTED.items() if os.environ.get(name, none) not in ("", none)), None)
    if granted is None and not on_gpus(profile):
        return
    why = f"{granted} is {os.environ[granted]!r}" if granted else f"the {profile} profile is not for CPUs"
    raise UserError(
        f"Job {job} sees no GPU, although {why}: torch {torch.__version__} is built for {built_for()}. Check that "
        "nvidia-smi lists a GPU in the job, that torch is built for its driver, and that a container is started with --nv."
    )


def use_tensor_cores() -> None:
    """Let matrix products in 32-bit use TF32 on a GPU, as convolutions do by default: three bits more than bf16."""
    if torch.cuda.is_available():
        torch.set_float32_matmul_precision("high")


def built_for() -> str:
    """Return the kind of GPU that torch is built for."""
    return (
        f"CUDA {torch.version.cuda}" if torch.version.cuda else f"ROCm {hip}" if (hip := torch.version.hip) else "CPUs"
    )


def is_group(runs: Sequence[Run]) -> bool:
    """Return whether this process does ``runs`` as one of several that are in step: SLURM's tasks, or the ranks of a training.

    A training on several devices is done by the command of that run alone, which starts the other ranks.
    """
    return environment_number("SLURM_NTASKS", 1) > 1 or (len(runs) == 1 and processes(runs[0]) > 1)


def check_launch(runs: Sequence[Run]) -> None:
    """Raise UserError if the environment names other processes than ``runs`` take.

    Lightning believes SLURM_NTASKS: it would refuse to start, or wait for processes that nobody started.
    """
    if not (is_first_process() or is_group(runs)):
        raise UserError(
            "This process is one of several that something else started together (torchrun?): start the command once; it "
            "starts the processes that a run takes."
        )
    if "SLURM_NTASKS" not in os.environ:
        return
    for name in NUMBERS:
        value = os.environ.get(name)
        if value is not None and not value.isdecimal():
            raise UserError(f"{name} is {value!r} in the environment; expected a whole number: correct or unset it.")
    tasks = environment_number("SLURM_NTASKS", 1)
    if tasks == 1 and os.environ.get("SLURM_JOB_NAME") in INTERACTIVE:
        return
    if tasks > 1 and "SLURM_STEP_ID" not in os.environ:
        raise UserError(
            f"SLURM_NTASKS is {tasks}, but srun did not start this process, so the other {tasks - 1} do not exist: "
            "put srun before the command, or unset SLURM_NTASKS to work in one process."
        )
    for run in runs:
        wanted = processes(run) if isinstance(run, TrainRun) or tasks == 1 else max(1, torch.cuda.device_count())
        if tasks != wanted or (tasks > 1 and "SLURM_NTASKS_PER_NODE" not in os.environ):
            raise UserError(
                f"SLURM started {tasks} process(es) of this command, and {run.name} takes {wanted}: set --ntasks-per-node to "
                f"that of one node, and do this run alone (--only {run.name})."
            )

"""Requeueing of a SLURM job near its time limit, under the same job number: jobs that depend on it keep waiting."""

import os
import subprocess

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.processes import environment_number


def job_id() -> str | None:
    """Return the SLURM job number of this process, ``job_task`` in an array; None outside SLURM."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID") or None


def requeue() -> str:
    """Ask SLURM to requeue this job and return a message for the user; of several processes only the first asks.

    Raises:
        UserError: if SLURM refuses or ``scontrol`` is not found (some containers lack it).
    """
    job = job_id()
    assert job is not None, "requeue is called inside a job"
    if environment_number("SLURM_PROCID", 0):
        return f"Saved; the first process puts job {job} back into the queue."
    try:
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise UserError(
            f"Saved, but scontrol is not to be found here, so job {job} cannot be queued again from inside; run "
            "python -m slurm resubmit on the login node, or bind scontrol into the container."
        ) from error
    if done.returncode:
        raise UserError(
            f"Saved, but SLURM does not queue job {job} again ({done.stderr.strip()}); run python -m slurm resubmit."
        )
    return f"Saved; job {job} is back in the queue and goes on from here."

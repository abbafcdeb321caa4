"""Starts table commands in milliseconds: forks of one process that has imported everything, each a real command line.

As a script it answers lines of JSON on stdin: {"table", "flags", "log"} starts one and prints its pid, {"wait": pid} prints
its exit code.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]


class Warm:
    """The process that forks."""

    def __init__(self) -> None:
        path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
        self.process = subprocess.Popen(
            [sys.executable, __file__], env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def start(self, table: str, *flags: object, log: Path, **environment: str) -> int:
        """Start ``small_runs.<table>`` with command-line ``flags``; its output goes to ``log``. Return its pid."""
        return self._ask(
            {"table": table, "flags": [str(f) for f in flags], "log": str(log), "environment": environment}
        )

    def wait(self, pid: int) -> int:
        """Exit code of ``pid``, negative for a signal that killed it."""
        return self._ask({"wait": pid})

    def _ask(self, question: dict) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(question), file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())


@contextmanager
def warm_process() -> Iterator[Warm]:
    """The process; it ends with the block."""
    warm = Warm()
    try:
        yield warm
    finally:
        assert warm.process.stdin is not None
        warm.process.stdin.close()
        warm.process.wait()


def _serve() -> None:
    import small_runs
    import torch

    from experiments.engine import cli
    from experiments.figures import reporting  # noqa: F401

    torch.set_num_threads(1)
    for line in sys.stdin:
        question = json.loads(line)
        if "wait" in question:
            print(os.waitstatus_to_exitcode(os.waitpid(question["wait"], 0)[1]), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            _become(question, cli, small_runs)
        print(pid, flush=True)


def _become(question: dict, cli, small_runs) -> None:
    """Run one command in this fork, and end as a process of its own would."""
    log = os.open(question["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(question["environment"])
    sys.argv = ["small", "--profile", "smoke", *question["flags"]]
    code = 0
    try:
        cli.main(getattr(small_runs, question["table"]))
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _serve()

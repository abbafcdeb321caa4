"""Train, sample, score and report multi-modal diffusion models, one table of a paper at a time.

``mmdiff run table1 --profile smoke`` is ``python -m experiments.table1 --profile smoke``; the other commands too are those of
``python -m``. ``mmdiff --tyro-print-completion bash`` prints a completion script for bash (zsh, tcsh).
"""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Union

import tyro

from lightning_mmdiff.errors import require_known
from lightning_mmdiff.runtime import stand_ins
from lightning_mmdiff.runtime.commands import readable_end
from lightning_mmdiff.runtime.options import check_options
from mmdiff.tables import modules


def commands() -> dict[str, Any]:
    """Return what each word calls. Their modules stand in for PyTorch until there is work to do."""
    from experiments import doctor, prefetch
    from experiments.__main__ import list_tables
    from mmdiff.demo import DemoFlags
    from mmdiff.demo import main as show
    from reports.__main__ import main as report
    from slurm.__main__ import COMMANDS

    known = {name: _table(name, *found) for name, found in modules(sys.argv[1:]).items()}

    def run(table: _one_of(known)) -> None:  # type: ignore[valid-type]
        """Train, sample, score and report a table. Running it again resumes where it stopped."""

    def demo(flags: Annotated[DemoFlags, tyro.conf.arg(name="")]) -> None:
        """Make a page of pictures by experts that come with the package."""
        show(flags)

    def check(flags: Annotated[doctor.DoctorFlags, tyro.conf.arg(name="")]) -> None:
        """Check that everything a table needs is present."""
        sys.exit(doctor.main(flags))

    def fetch(flags: Annotated[prefetch.PrefetchFlags, tyro.conf.arg(name="")]) -> None:
        """Download weights and public data sets, or list them."""
        prefetch.main(flags)

    def jobs(command: _one_of(COMMANDS)) -> None:  # type: ignore[valid-type]
        """Submit and manage jobs."""

    return {
        "list": list_tables, "run": run, "demo": demo, "report": report, "doctor": check, "prefetch": fetch, "slurm": jobs,
    }  # fmt: skip


def _table(name: str, module: str, about: str) -> Callable[..., None]:
    """Return the command of a table: it becomes ``python -m MODULE``, which reads the same flags again."""
    from experiments.engine.cli import TableFlags

    def command(flags: Annotated[TableFlags, tyro.conf.arg(name="")]) -> None:
        words = sys.argv[2:]
        words.remove(name)
        sys.argv = [sys.argv[0], *words]
        runpy.run_module(module, run_name="__main__", alter_sys=True)

    command.__doc__ = about
    return command


def _require_words(words: list[str], functions: dict[str, Any]) -> None:
    """Raise UserError for a misspelled table, command of slurm, option or choice."""
    from experiments.engine.cli import TableFlags
    from slurm.__main__ import COMMANDS

    name, *rest = words or [""]
    second = rest[0] if rest and not rest[0].startswith("-") else ""
    if second and (name in ("run", "doctor") or (name == "report" and not _was_run(second, rest))):
        require_known("table", second, modules(words))
    if name == "slurm" and second:
        require_known("command of slurm", second, COMMANDS)
        check_options(COMMANDS[second], rest[1:])
    elif name in functions and name != "slurm":
        check_options(TableFlags if name == "run" else functions[name], rest)


def _was_run(table: str, words: list[str]) -> bool:
    """Return whether a table, perhaps of somebody's own, may be on disk; another --out is not looked at."""
    return any(word.startswith("--out") for word in words) or any(Path("runs").glob(f"*/tables/{table}"))


def _one_of(functions: dict[str, Callable[..., None]]) -> Any:
    """Return the type of a subcommand that calls one of ``functions``."""
    parts = (Annotated[Any, tyro.conf.subcommand(name=n, constructor=f)] for n, f in functions.items())
    return Annotated[Union.__getitem__(tuple(parts)), tyro.conf.arg(name="")]


def main() -> None:
    """Read the command line and do what it says."""
    stand_ins.install()
    words = sys.argv[1:]
    with readable_end("choose a writable --out"):
        functions = commands()
        if words and not words[0].startswith("-"):
            require_known("command", words[0], functions)
        _require_words(words, functions)
        tyro.extras.subcommand_cli_from_dict(functions, prog="mmdiff", description=__doc__)


if __name__ == "__main__":
    main()

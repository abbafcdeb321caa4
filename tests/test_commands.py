"""How commands end: a file that cannot be written is one sentence; a reader that leaves ends nothing."""

import errno
import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.commands import readable_end, steady_output

ROOT = Path(__file__).parents[1]
WORK = """
import logging, sys
from pathlib import Path
from rich.console import Console
from tqdm import tqdm
from experiments.engine.endings import endings
held = sys.stderr
with endings(Path("runs"), debug=False):
    for number in tqdm(range(400)):
        print("step", number, "x" * 1000)
        Console().print("[bold]done[/]")
        print("warning", file=sys.stderr, flush=True)
        print("another holder of the stream", file=held)
    Path(sys.argv[1]).write_text("done")
"""
LIST = """
from lightning_mmdiff.runtime.commands import readable_end
with readable_end():
    print("one line")
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize("reader", ["terminal", "pipe"])
def test_work_goes_on_without_a_reader(tmp_path, reader) -> None:
    """A closed terminal (EIO) and ``| head`` ended the table, the second without a word (C8)."""
    ours, theirs = pty.openpty() if reader == "terminal" else os.pipe()
    words = [sys.executable, "-c", WORK, str(tmp_path / "result")]
    process = subprocess.Popen(words, stdout=theirs, stderr=theirs, env=environment(), start_new_session=True)
    os.close(theirs)
    assert os.read(ours, 10)
    os.close(ours)
    assert process.wait(60) == 0
    assert (tmp_path / "result").read_text() == "done"


def test_a_short_command_into_a_closed_pipe_says_nothing() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        [sys.executable, "-c", LIST], stdout=theirs, stderr=subprocess.PIPE, env=environment(), check=False
    )
    os.close(theirs)
    assert (done.returncode, done.stderr) == (0, b"")


def test_without_any_output_and_with_other_errors_of_it(monkeypatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        with steady_output():
            print("nowhere")

    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(OSError, match="full"), steady_output():
        print("x")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (UserError("expected [n, 3]; render again."), "error: expected [n, 3]; render again."),
        (
            OSError(errno.EROFS, "Read-only file system", "a.md"),
            "error: a.md: Read-only file system; take another and run the same command again: what is done is kept.",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), "error: No space left on device; free some space and run "),
        (OSError(errno.EBADF, "Bad file descriptor"), "error: [Errno 9] Bad file descriptor"),
        (KeyboardInterrupt(), "Stopped. Run the same command again to go on."),
    ],
)
def test_a_short_command_ends_in_one_sentence(error, words) -> None:
    with pytest.raises(SystemExit) as stop, readable_end("take another"):
        raise error
    assert str(stop.value.code).startswith(words)


def test_reports_on_a_read_only_folder_are_one_sentence(make_table_of_nothing) -> None:
    """It was a long traceback (C7)."""
    done = subprocess.run(
        [sys.executable, "-m", "reports", "--out", str(make_table_of_nothing), "--no-notebook"],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "name it by --out" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.fixture
def make_table_of_nothing(tmp_path) -> Path:
    """Runs with a file in place of the folder of the site: it cannot be written, whoever asks."""
    (tmp_path / "mini" / "run").mkdir(parents=True)
    (tmp_path / "mini" / "run" / "config.json").write_text('{"type": "TrainRun", "name": "run"}')
    (tmp_path / "mini" / "site").write_text("")
    return tmp_path

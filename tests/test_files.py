"""Files are whole or absent, and what killed writers leave behind is cleared away."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.runtime.files import ABANDONED, atomic_path, read_text, remove_stale
from lightning_mmdiff.runtime.processes import machine, started

NOBODY = 2**22 + 1  # above the largest process number of Linux


def test_a_failing_writer_leaves_nothing_and_a_finished_one_the_file(tmp_path) -> None:
    path = tmp_path / "new" / "result.npy"

    def fail() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not list(path.parent.iterdir())
    with atomic_path(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert [p.name for p in path.parent.iterdir()] == ["result.npy"]


@pytest.mark.parametrize(
    ("name", "age", "goes"),
    [
        (f".00003.{machine()}.{NOBODY}.npy", 0, True),
        (f".step=10.{machine()}.{NOBODY}.ckpt", 0, True),
        (f".00003.{machine()}.{os.getpid()}.npy", 0, False),
        (f".00003.elsewhere-42.{NOBODY}.npy", 0, False),
        (f".00003.elsewhere-42.{NOBODY}.npy", ABANDONED + 60, True),
        (".gitignore", ABANDONED + 60, False),
        ("00003.npy", ABANDONED + 60, False),
    ],
    ids=["dead", "dead with =", "this process", "another machine", "another machine, old", "hidden", "plain"],
)
def test_temporary_files_of_dead_writers_go(tmp_path, name, age, goes) -> None:
    path = tmp_path / "samples" / name
    path.parent.mkdir()
    path.touch()
    os.utime(path, (time.time() - age,) * 2)
    remove_stale(tmp_path)
    assert path.exists() != goes


def test_the_name_of_a_temporary_file_is_recognized(tmp_path) -> None:
    with atomic_path(tmp_path / "a.b.json") as temporary:
        stale = Path(str(temporary).replace(f".{os.getpid()}.", f".{NOBODY}."))
        stale.touch()
        temporary.touch()
        remove_stale(tmp_path)
        assert temporary.exists()
        assert not stale.exists()


def test_a_killed_process_is_dead_before_it_is_counted_off() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert started(process.pid)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie now
    assert started(process.pid) is None
    process.communicate()
    assert started(process.pid) is None


READ = """
import locale, sys
from pathlib import Path
from lightning_mmdiff.runtime.files import read_text, write_json
assert locale.getpreferredencoding(False).upper() not in ("UTF-8", "UTF8"), locale.getpreferredencoding(False)
write_json(Path(sys.argv[2]), read_text(Path(sys.argv[1])))
"""


def test_text_is_utf_8_whatever_the_locale(tmp_path) -> None:
    path, out = tmp_path / "text.txt", tmp_path / "out.json"
    path.write_bytes("\ufeffein schönes Gesicht ☺".encode())
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[1])
    subprocess.run([sys.executable, "-c", READ, str(path), str(out)], env=environment, check=True)
    assert json.loads(out.read_text(encoding="utf-8")) == "ein schönes Gesicht ☺"


def test_another_encoding_is_named(tmp_path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes("ein schönes Gesicht".encode("latin-1"))
    with pytest.raises(UserError, match=r"text.txt: is not UTF-8 text \(byte 7: .*\); save it as UTF-8"):
        read_text(path)

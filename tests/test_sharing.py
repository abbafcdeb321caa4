"""Processes started with the same command share the work: each piece once, and the numbers of one process."""

import errno
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import small_runs
import torch
from warm import Warm

from experiments.engine import workers
from experiments.engine.workers import VISIBLE, cores, gpus, helpers, start
from lightning_mmdiff.callbacks.shards import locked_shards
from lightning_mmdiff.runtime import owners
from lightning_mmdiff.runtime.locks import LostLockError, WorkLocks
from lightning_mmdiff.runtime.owners import identity
from lightning_mmdiff.runtime.processes import machine, started
from lightning_mmdiff.runtime.run_folder import shard_path

NAMES = {f"{i:05d}": i for i in range(24)}


def work(folder: Path, done: Path, who: int) -> None:
    """Do the pieces that this process locks; a piece that is done twice has two lines."""
    for piece in WorkLocks(folder, poll=0.01).share(NAMES, lambda i: (done / str(i)).exists()):
        with (done / f"log{who}").open("a") as log:
            print(piece, file=log)
        time.sleep(0.005)
        (done / str(piece)).touch()


def test_four_processes_do_every_piece_once(tmp_path) -> None:
    done = tmp_path / "done"
    done.mkdir()
    processes = [get_context("fork").Process(target=work, args=(tmp_path / "locks", done, i)) for i in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    lines = [log.read_text().split() for log in done.glob("log*")]
    assert sorted(int(n) for words in lines for n in words) == sorted(NAMES.values())
    assert len(lines) > 1
    assert not list((tmp_path / "locks").iterdir())


@pytest.fixture
def locks(tmp_path) -> WorkLocks:
    return WorkLocks(tmp_path / "locks", heartbeat=0.1, expiry=0.5, poll=0.01)


def other(locks: WorkLocks, name: str, **owner: object) -> Path:
    """A lock that another process has left."""
    found = {"machine": "elsewhere-1", "pid": 1, "started": "1", "job": "", "restarts": 0} | owner
    locks.folder.mkdir(exist_ok=True)
    path = locks.folder / f"{name}.0"
    path.write_text(json.dumps(found))
    return path


def can_lock(locks: WorkLocks, name: str) -> bool:
    with locks.try_acquire(name) as mine:
        return mine


def test_a_claim_is_held_and_given_back(locks) -> None:
    with locks.try_acquire("piece") as mine:
        assert mine
        assert not can_lock(locks, "piece")
        assert can_lock(locks, "other")
        assert locks.holder("piece") == f"process {os.getpid()} on {machine().rpartition('-')[0]}"
    assert locks.holder("piece") is None
    assert can_lock(locks, "piece")


def test_a_name_that_is_no_file_is_refused(locks) -> None:
    """Its lock could never be written, so everybody would wait for it."""
    with pytest.raises(ValueError, match="no slash"), locks.try_acquire("images / second"):
        pass


def test_a_piece_that_fails_is_given_back(locks) -> None:
    def fail() -> None:
        for _ in locks.share({"piece": 0}, lambda _: False):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert can_lock(locks, "piece")


def test_a_claim_of_another_machine_lives_while_it_is_touched(locks) -> None:
    path = other(locks, "piece")
    for _ in range(8):
        time.sleep(0.1)
        os.utime(path)
        assert not can_lock(locks, "piece")
    time.sleep(0.7)
    assert can_lock(locks, "piece")
    assert path.exists()  # nobody takes a lock away; the next number counts


def test_an_error_of_the_file_system_does_not_end_the_touches(locks, monkeypatch) -> None:
    plain, calls = os.utime, []

    def failing(path) -> None:
        calls.append(path)
        if len(calls) < 3:
            raise OSError(errno.ESTALE, "Stale file handle")
        plain(path)

    monkeypatch.setattr(os, "utime", failing)
    with locks.try_acquire("piece"):
        before = (locks.folder / "piece.0").stat().st_mtime
        time.sleep(0.6)
        assert (locks.folder / "piece.0").stat().st_mtime > before
    assert len(calls) > 3


def test_where_other_users_processes_are_hidden_their_locks_live_while_they_are_touched(
    locks, monkeypatch, tmp_path
) -> None:
    """As with /proc mounted with hidepid: there is no /proc/1, and no signal may be sent to it."""

    def hidden(pid: int, _: int) -> None:
        raise PermissionError

    mine = identity()  # what this process knows of itself
    monkeypatch.setattr("lightning_mmdiff.runtime.locks.identity", lambda: mine)
    monkeypatch.setattr("lightning_mmdiff.runtime.processes.Path", lambda _: tmp_path / "none")
    monkeypatch.setattr(os, "kill", hidden)
    assert started(1) == ""
    path = other(locks, "piece", machine=machine(), pid=1, started="7")
    assert not can_lock(locks, "piece")
    os.utime(path, (time.time() - 10,) * 2)
    assert not can_lock(locks, "piece")
    time.sleep(0.3)
    assert can_lock(locks, "piece")


@pytest.mark.filterwarnings("ignore:The clock of elsewhere")
@pytest.mark.parametrize(("hours", "how"), [(1, "60 min ahead of"), (-1, "60 min behind")])
def test_a_clock_that_is_an_hour_apart_is_said_and_its_owner_lives_while_it_touches(locks, hours, how) -> None:
    path = other(locks, "piece")

    def touched() -> bool:
        os.utime(path, (time.time() + 3600 * hours,) * 2)
        time.sleep(0.1)
        return not can_lock(locks, "piece")

    with pytest.warns(UserWarning, match=f"The clock of elsewhere is {how} the one here; set the clocks"):
        alive = [touched() for _ in range(8)]
    assert all(alive)
    time.sleep(0.7)
    assert can_lock(locks, "piece")  # dead, though an hour ahead


def test_an_owner_that_another_followed_has_lost_its_lock(locks) -> None:
    with locks.try_acquire("piece"):
        locks.require("piece")
        other(locks, "piece").rename(locks.folder / "piece.1")
        with pytest.raises(LostLockError, match="belongs to another process"):
            locks.require("piece")
        shutil.rmtree(locks.folder)  # the other has finished
        with pytest.raises(LostLockError):
            locks.require("piece")


def test_a_holder_touches_its_lock(locks) -> None:
    with locks.try_acquire("piece"):
        path = locks.folder / "piece.0"
        before = path.stat().st_mtime
        time.sleep(0.3)
        assert path.stat().st_mtime > before


def test_whether_locks_are_held_is_seen_where_nothing_may_be_written(locks, monkeypatch) -> None:
    assert not locks.are_held()  # no folder yet
    path = other(locks, "piece")  # of another machine, touched just now

    def touch(self, *_args, **_options) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "touch", touch)
    assert locks.are_held()
    os.utime(path, (1, 1))
    monkeypatch.setattr(owners, "_seen", {path: owners._Look(1.0, time.monotonic() - 1000)})  # watched for long
    assert not locks.are_held()


@pytest.mark.parametrize(
    ("owner", "dead"),
    [
        ({"machine": machine(), "pid": 2**22 + 1, "started": "7"}, True),
        ({"machine": machine(), "pid": os.getpid(), "started": "another start"}, True),  # the number is used again
        ({"machine": machine(), "pid": os.getpid(), "started": started(os.getpid())}, False),
        ({"job": "17", "restarts": 0}, True),  # this job, before it was queued again
        ({"job": "17", "restarts": 1}, False),
        ({"job": "18", "restarts": 0}, False),
        ({"job": ""}, False),
    ],
)
def test_who_is_dead(locks, monkeypatch, owner, dead) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    other(locks, "piece", **owner)
    assert can_lock(locks, "piece") == dead


def test_of_two_that_find_a_dead_claim_one_gets_it(locks) -> None:
    other(locks, "piece", machine=machine(), pid=2**22 + 1)
    second = WorkLocks(locks.folder)
    with locks.try_acquire("piece") as mine, second.try_acquire("piece") as theirs:
        assert mine
        assert not theirs


def test_a_claim_without_a_signature_dies_soon(locks) -> None:
    other(locks, "piece").write_text("")
    assert not can_lock(locks, "piece")
    time.sleep(0.2)
    assert can_lock(locks, "piece")


def test_clear_keeps_what_is_alive(locks) -> None:
    other(locks, "dead", machine=machine(), pid=2**22 + 1)
    with locks.try_acquire("alive"):
        locks.clear()
        assert [p.name for p in locks.folder.iterdir()] == ["alive.0"]
    locks.clear()
    assert not locks.folder.exists()
    locks.clear()


def test_what_is_finished_between_look_and_claim_is_not_done_again(tmp_path, locks) -> None:
    looks = iter([False, True, True])
    assert list(locks.share({"piece": 0}, lambda _: next(looks))) == []


def test_shards_are_exactly_the_images(tmp_path, locks) -> None:
    made = []
    for numbers in locked_shards(tmp_path, 10, 4, locks):
        made += numbers
        np.save(shard_path(tmp_path, numbers[0] // 4), np.zeros(len(numbers)))
    assert made == list(range(10))


# The command itself


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return small_runs.write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def alone(tmp_path_factory, data, warm: Warm) -> Path:
    """Output of one process."""
    out = tmp_path_factory.mktemp("alone")
    assert together(warm, data, out, 1, "expert", "samples") == [0]
    return out


def begin(warm: Warm, data: Path, out: Path, count: int, *names: str, table: str = "brief_table") -> list[int]:
    flags = ("--data", data, "--out", out, "--only", *names)
    return [warm.start(table, *flags, log=out / f"log{i}.txt") for i in range(count)]


def together(warm: Warm, data: Path, out: Path, count: int, *names: str, table: str = "brief_table") -> list[int]:
    """Exit codes of ``count`` processes with the same command."""
    return [warm.wait(pid) for pid in begin(warm, data, out, count, *names, table=table)]


@pytest.fixture
def trained(tmp_path, alone) -> Path:
    """Output folder with the expert only."""
    shutil.copytree(alone, tmp_path / "out", ignore=shutil.ignore_patterns("samples", "tables", "reference", "log*"))
    return tmp_path / "out"


def assert_same(out: Path, alone: Path) -> None:
    there, here = alone / "smoke" / "samples", out / "smoke" / "samples"
    assert (here / "metrics.json").read_bytes() == (there / "metrics.json").read_bytes()
    names = sorted(p.name for p in (there / "samples").iterdir())
    assert sorted(p.name for p in (here / "samples").iterdir()) == names
    images = [np.load(here / "samples" / name) for name in names]
    assert sum(map(len, images)) == 24
    assert all(np.array_equal(x, np.load(there / "samples" / name)) for x, name in zip(images, names))
    assert not list(out.rglob(".locks"))


@pytest.mark.slow
def test_four_processes_give_the_images_and_metrics_of_one(trained, alone, data, warm) -> None:
    assert together(warm, data, trained, 4, "samples") == [0] * 4
    assert_same(trained, alone)


@pytest.mark.slow
def test_a_stopped_process_that_comes_back_leaves_the_training_to_the_other(tmp_path, data, warm) -> None:
    """As after a machine was cut off: the other took over, and both write files of the same name."""
    quiet, shared = tmp_path / "quiet", tmp_path / "shared"
    for out in (quiet, shared):
        out.mkdir()
    names = ("expert", "samples")
    undisturbed = begin(warm, data, quiet, 1, *names, table="impatient_table")
    stopped = begin(warm, data, shared, 1, *names, table="impatient_table")[0]
    folder = shared / "smoke" / "expert"
    end = time.monotonic() + 60

    def wait(reached: Callable[[], bool]) -> None:
        while not reached():
            assert time.monotonic() < end
            time.sleep(0.002)

    wait(lambda: (folder / "checkpoints" / "step=20.ckpt").exists())
    os.kill(stopped, signal.SIGSTOP)
    follower = warm.start(
        "impatient_table", "--data", data, "--out", shared, "--only", *names, log=shared / "follower.txt"
    )
    wait(lambda: (shared / "follower.txt").exists() and "expert:" in (shared / "follower.txt").read_text())
    os.kill(stopped, signal.SIGCONT)
    codes = [warm.wait(pid) for pid in (stopped, follower, *undisturbed)]
    assert codes == [0, 0, 0], (shared / "log0.txt").read_text()[-3000:]
    assert "expert: another process goes on with it" in (shared / "log0.txt").read_text()
    assert_same(shared, quiet)
    assert weights(shared) == weights(quiet)
    assert (folder / "loss.csv").read_text() == (quiet / "smoke" / "expert" / "loss.csv").read_text()
    assert not (folder / "failed.txt").exists()


@pytest.mark.slow
def test_a_killed_process_leaves_its_shard_to_the_other(trained, alone, data, warm) -> None:
    first, second = begin(warm, data, trained, 2, "samples")
    folder = trained / "smoke" / "samples"
    while not list(folder.glob(".locks/0*")):
        time.sleep(0.002)
    os.kill(first, signal.SIGKILL)
    assert [warm.wait(first), warm.wait(second)] == [-signal.SIGKILL, 0]
    assert_same(trained, alone)


def weights(out: Path, name: str = "expert") -> bytes:
    return (out / "smoke" / name / "weights.safetensors").read_bytes()


def test_a_model_is_trained_by_one_process_while_the_other_waits(tmp_path, alone, data, warm) -> None:
    assert together(warm, data, tmp_path, 2, "expert") == [0, 0]
    assert weights(tmp_path) == weights(alone)
    logs = [(tmp_path / f"log{i}.txt").read_text() for i in range(2)]
    assert sum("60/60" in log for log in logs) == 1
    assert not list(tmp_path.rglob(".locks"))


def test_whoever_waits_for_a_training_takes_it_over_when_its_process_is_killed(tmp_path, alone, data, warm) -> None:
    first, second = begin(warm, data, tmp_path, 2, "expert")
    logs = {pid: tmp_path / f"log{i}.txt" for i, pid in enumerate((first, second))}

    def waits(pid: int) -> bool:
        return logs[pid].exists() and "waiting" in logs[pid].read_text()

    while not any(waits(pid) for pid in logs):
        assert started(first) is not None or started(second) is not None, "nobody had to wait"
        time.sleep(0.002)
    waiter, trainer = sorted(logs, key=waits, reverse=True)
    os.kill(trainer, signal.SIGKILL)
    assert (warm.wait(trainer), warm.wait(waiter)) == (-signal.SIGKILL, 0)
    assert weights(tmp_path) == weights(alone)


PAIR = ("evaluator", "first-expert", "first-expert-samples", "second-expert", "second-expert-samples")


@pytest.mark.slow
def test_a_model_that_another_trains_is_passed_over_with_what_needs_it(tmp_path, data, warm) -> None:
    quiet, shared = tmp_path / "quiet", tmp_path / "shared"
    for out, count in ((quiet, 1), (shared, 3)):
        out.mkdir()
        assert together(warm, data, out, count, *PAIR, table="pair_table") == [0] * count
    logs = [(shared / f"log{i}.txt").read_text() for i in range(3)]
    trained = [{line.split()[0] for line in log.replace("\r", "\n").split("\n") if "60/60" in line} for log in logs]
    assert sorted(name for names in trained for name in names) == ["evaluator:", "first-expert:", "second-expert:"]
    assert sum(map(bool, trained)) > 1  # nobody waited for another's
    for name in ("first-expert", "second-expert", "evaluator"):
        assert weights(shared, name) == weights(quiet, name)
    for name in ("first-expert-samples", "second-expert-samples"):
        metrics = [out / "smoke" / name / "metrics.json" for out in (quiet, shared)]
        assert metrics[0].read_bytes() == metrics[1].read_bytes()
    assert not list(shared.rglob(".locks"))


# More processes by one command


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


SHOW = "import os; print(os.environ['OMP_NUM_THREADS'])"
SLEEP = "import time; time.sleep(600)"


@pytest.mark.usefixtures("threads")
def test_helpers_share_the_threads_and_write_logs(tmp_path) -> None:
    with helpers(3, ["-c", SHOW], tmp_path):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 4
    assert [(tmp_path / f"{number}.log").read_text() for number in (2, 3)] == ["1\n", "1\n"]


@pytest.mark.usefixtures("threads")
def test_one_worker_starts_nobody(tmp_path) -> None:
    with helpers(1, ["-c", SHOW], tmp_path):
        assert torch.get_num_threads() == 4
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("threads", "gpu", "expected"), [(4, False, 4), (64, False, 8), (64, True, 1)])
def test_workers_0_is_a_process_for_each_core(monkeypatch, threads, gpu, expected) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert cores() == expected


@pytest.mark.usefixtures("threads")
def test_each_of_several_gpus_has_a_process(tmp_path) -> None:
    """Simulated: the names of two GPUs; this process keeps the first."""
    with helpers(2, ["-c", f"import os; print(os.environ['{VISIBLE}'])"], tmp_path, ["4", "7"]):
        pass
    assert (tmp_path / "2.log").read_text() == "7\n"


@pytest.mark.parametrize(("named", "found"), [(None, ["0", "1"]), ("", ["0", "1"]), ("5,3", ["5", "3"])])
def test_gpus_have_the_names_that_processes_are_started_with(monkeypatch, named, found) -> None:
    monkeypatch.setattr(workers, "gpu_names", lambda: ["H100", "H100"])
    monkeypatch.delenv(VISIBLE, raising=False)
    if named is not None:
        monkeypatch.setenv(VISIBLE, named)
    assert gpus() == found


FOLLOW = "import time; from experiments.engine.parent import follow_parent as f; f(); print('up', flush=True); time.sleep(600)"


def test_a_helper_ends_with_a_parent_that_is_killed(tmp_path) -> None:
    log, number = tmp_path / "2.log", tmp_path / "pid"

    def parent() -> None:
        number.write_text(str(start(["-c", FOLLOW], log, dict(os.environ)).pid))
        time.sleep(600)

    process = get_context("fork").Process(target=parent)
    process.start()
    end = time.monotonic() + 60
    while not (log.exists() and "up" in log.read_text()):
        assert time.monotonic() < end
        time.sleep(0.01)
    helper = int(number.read_text())
    assert started(helper) is not None
    process.kill()
    process.join()
    while started(helper) is not None:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_helpers_are_stopped_when_the_work_fails(tmp_path) -> None:
    start = time.monotonic()
    with pytest.raises(ZeroDivisionError), helpers(2, ["-c", SLEEP], tmp_path):
        raise ZeroDivisionError
    assert time.monotonic() - start < 60


def test_ctrl_c_reaches_helpers_through_the_first_process_alone(tmp_path) -> None:
    show = "import signal; print(signal.getsignal(signal.SIGINT).name)"
    with helpers(2, ["-c", show], tmp_path):
        pass
    assert (tmp_path / "2.log").read_text() == "SIG_IGN\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_helper_that_fails_is_told_of(tmp_path, capsys) -> None:
    with helpers(2, ["-c", "raise SystemExit(3)"], tmp_path):
        pass
    assert "Worker 2 ended early with code 3" in capsys.readouterr().out
